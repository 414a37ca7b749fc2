#include "text/msgpack.h"

#include <cstring>

#include "mlx_audio/error.h"

namespace mlx_audio::text {

namespace {

[[noreturn]] void damaged(const std::string& what) {
  throw Error(ErrorKind::corrupt_data, "MessagePack: " + what);
}

class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  Msgpack value(int depth = 0) {
    if (depth > 32) {
      damaged("nested too deeply");
    }
    auto tag = static_cast<uint8_t>(take(1)[0]);
    Msgpack v;
    if (tag <= 0x7f || tag >= 0xe0) {
      return number(static_cast<uint64_t>(static_cast<int8_t>(tag)));
    }
    if (tag <= 0x8f) {
      return map(tag & 0xf, depth);
    }
    if (tag <= 0x9f) {
      return array(tag & 0xf, depth);
    }
    if (tag <= 0xbf) {
      return text(tag & 0x1f);
    }
    switch (tag) {
      case 0xc0:
        return v;
      case 0xc2:
      case 0xc3:
        v.kind = Msgpack::Kind::boolean;
        v.integer = tag & 1;
        return v;
      case 0xc4:
      case 0xd9:
        return text(unsigned_int(1));
      case 0xc5:
      case 0xda:
        return text(unsigned_int(2));
      case 0xc6:
      case 0xdb:
        return text(unsigned_int(4));
      case 0xcb: {
        uint64_t bits = unsigned_int(8);
        v.kind = Msgpack::Kind::real;
        std::memcpy(&v.real, &bits, sizeof bits);
        return v;
      }
      case 0xcc:
      case 0xcd:
      case 0xce:
      case 0xcf:
        return number(unsigned_int(1u << (tag - 0xcc)));
      case 0xd0:
      case 0xd1:
      case 0xd2:
      case 0xd3: {
        unsigned bytes = 1u << (tag - 0xd0);
        auto shift = 64 - 8 * bytes;
        auto bits = static_cast<int64_t>(unsigned_int(bytes) << shift);
        return number(static_cast<uint64_t>(bits >> shift));
      }
      case 0xdc:
        return array(unsigned_int(2), depth);
      case 0xdd:
        return array(unsigned_int(4), depth);
      case 0xde:
        return map(unsigned_int(2), depth);
      case 0xdf:
        return map(unsigned_int(4), depth);
      default:
        damaged("unknown type");
    }
  }

 private:
  std::string_view take(uint64_t n) {
    if (n > bytes_.size()) {
      damaged("cut off");
    }
    std::string_view out = bytes_.substr(0, n);
    bytes_.remove_prefix(n);
    return out;
  }

  uint64_t unsigned_int(unsigned bytes) {
    uint64_t v = 0;
    for (char c : take(bytes)) {
      v = (v << 8) | static_cast<uint8_t>(c);
    }
    return v;
  }

  static Msgpack number(uint64_t n) {
    Msgpack v;
    v.kind = Msgpack::Kind::integer;
    v.integer = n;
    return v;
  }

  Msgpack text(uint64_t n) {
    Msgpack v;
    v.kind = Msgpack::Kind::text;
    v.text = take(n);
    return v;
  }

  Msgpack array(uint64_t n, int depth) {
    if (n > bytes_.size()) {
      damaged("cut off");
    }
    Msgpack v;
    v.kind = Msgpack::Kind::array;
    for (uint64_t i = 0; i < n; ++i) {
      v.items.push_back(value(depth + 1));
    }
    return v;
  }

  Msgpack map(uint64_t n, int depth) {
    if (n > bytes_.size()) {
      damaged("cut off");
    }
    Msgpack v;
    v.kind = Msgpack::Kind::map;
    for (uint64_t i = 0; i < n; ++i) {
      v.keys.push_back(value(depth + 1));
      v.items.push_back(value(depth + 1));
    }
    return v;
  }

  std::string_view bytes_;
};

} // namespace

Msgpack Msgpack::parse(std::string_view bytes) {
  return Reader(bytes).value();
}

const Msgpack& Msgpack::at(std::string_view key) const {
  for (size_t i = 0; i < keys.size(); ++i) {
    if (keys[i].kind == Kind::text && keys[i].text == key) {
      return items[i];
    }
  }
  damaged("no key '" + std::string(key) + "'");
}

std::string_view Msgpack::float_data(size_t count) const {
  const Msgpack& data = at("data");
  if (at("type").text != "<f4" || data.text.size() != 4 * count) {
    damaged("array of another type or shape than expected");
  }
  return data.text;
}

} // namespace mlx_audio::text
