#include "checkpoint/zip.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>

#include "mlx_audio/error.h"

namespace mlx_audio::checkpoint {

namespace {

constexpr uint64_t max_entries = 100'000;
constexpr uint64_t max_ratio = 1032; // deflate's own limit

[[noreturn]] void fail(
    const std::string& path,
    const std::string& what,
    ErrorKind kind = ErrorKind::corrupt_data) {
  throw Error(kind, "'" + path + "' is no valid zip archive: " + what);
}

template <class T>
T number(std::span<const std::byte> bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

struct Directory {
  uint64_t offset;
  uint64_t size;
  uint64_t entries;
};

// The end record lies at the end, before a comment of at most 64 KB.
Directory find_directory(const File& file) {
  constexpr size_t end_size = 22;
  auto data = file.data();
  if (data.size() < end_size) {
    fail(file.path(), "it has " + std::to_string(data.size()) + " bytes");
  }
  size_t lowest =
      data.size() > end_size + 65535 ? data.size() - end_size - 65535 : 0;
  for (size_t at = data.size() - end_size + 1; at-- > lowest;) {
    if (number<uint32_t>(data, at) != 0x06054b50) {
      continue;
    }
    Directory directory{
        number<uint32_t>(data, at + 16),
        number<uint32_t>(data, at + 12),
        number<uint16_t>(data, at + 10)};
    bool big = directory.offset == 0xffffffff || directory.size == 0xffffffff ||
        directory.entries == 0xffff;
    // A locator of the 64-bit end record stands right before.
    if (at >= 20 && number<uint32_t>(data, at - 20) == 0x07064b50) {
      auto record = number<uint64_t>(data, at - 12);
      if (record > data.size() || data.size() - record < 56 ||
          number<uint32_t>(data, record) != 0x06064b50) {
        fail(file.path(), "its 64-bit end record");
      }
      directory = {
          number<uint64_t>(data, record + 48),
          number<uint64_t>(data, record + 40),
          number<uint64_t>(data, record + 32)};
    } else if (big) {
      fail(file.path(), "its 64-bit end record is missing");
    }
    return directory;
  }
  fail(file.path(), "it has no directory");
}

// Takes sizes and offset above 4 GB from the extra field with id 1.
void read_extra(std::span<const std::byte> extra, ZipEntry& entry) {
  while (extra.size() >= 4) {
    auto id = number<uint16_t>(extra, 0);
    auto size = number<uint16_t>(extra, 2);
    extra = extra.subspan(4);
    if (size > extra.size()) {
      return;
    }
    if (id == 1) {
      auto part = extra.first(size);
      for (uint64_t* field : {&entry.size, &entry.packed, &entry.offset}) {
        if (*field == 0xffffffff && part.size() >= 8) {
          *field = number<uint64_t>(part, 0);
          part = part.subspan(8);
        }
      }
    }
    extra = extra.subspan(size);
  }
}

} // namespace

ZipFile::ZipFile(std::shared_ptr<const File> file) : file_(std::move(file)) {
  const std::string& path = file_->path();
  auto data = file_->data();
  Directory directory = find_directory(*file_);
  if (directory.offset > data.size() ||
      directory.size > data.size() - directory.offset) {
    fail(path, "its directory lies outside of it");
  }
  if (directory.entries > max_entries) {
    fail(path, std::to_string(directory.entries) + " entries");
  }
  auto rest = data.subspan(directory.offset, directory.size);
  for (uint64_t i = 0; i < directory.entries; ++i) {
    constexpr size_t fixed = 46;
    if (rest.size() < fixed || number<uint32_t>(rest, 0) != 0x02014b50) {
      fail(path, "its directory ends early");
    }
    size_t name_size = number<uint16_t>(rest, 28);
    size_t extra_size = number<uint16_t>(rest, 30);
    size_t comment_size = number<uint16_t>(rest, 32);
    if (name_size > 4096 ||
        rest.size() - fixed < name_size + extra_size + comment_size) {
      fail(path, "an entry of its directory");
    }
    ZipEntry entry;
    entry.name.assign(
        reinterpret_cast<const char*>(rest.data()) + fixed, name_size);
    auto flags = number<uint16_t>(rest, 8);
    auto method = number<uint16_t>(rest, 10);
    entry.crc = number<uint32_t>(rest, 16);
    entry.packed = number<uint32_t>(rest, 20);
    entry.size = number<uint32_t>(rest, 24);
    entry.offset = number<uint32_t>(rest, 42);
    read_extra(rest.subspan(fixed + name_size, extra_size), entry);
    rest = rest.subspan(fixed + name_size + extra_size + comment_size);
    if ((flags & 1) != 0 || (method != 0 && method != 8)) {
      fail(
          path,
          "entry '" + entry.name + "' is encrypted or packed with method " +
              std::to_string(method),
          ErrorKind::unsupported);
    }
    entry.deflated = method == 8;
    // The local header has lengths of its own; data follows it.
    if (entry.offset > data.size() || data.size() - entry.offset < 30 ||
        number<uint32_t>(data, entry.offset) != 0x04034b50) {
      fail(path, "entry '" + entry.name + "' has no header");
    }
    entry.offset += 30u + number<uint16_t>(data, entry.offset + 26) +
        number<uint16_t>(data, entry.offset + 28);
    if (entry.offset > data.size() ||
        entry.packed > data.size() - entry.offset) {
      fail(path, "entry '" + entry.name + "' lies outside of it");
    }
    if (entry.deflated ? entry.size / max_ratio > entry.packed
                       : entry.size != entry.packed) {
      fail(
          path,
          "entry '" + entry.name + "' claims " + std::to_string(entry.size) +
              " bytes out of " + std::to_string(entry.packed));
    }
    entries_.push_back(std::move(entry));
  }
  std::vector<const ZipEntry*> order;
  for (const auto& entry : entries_) {
    order.push_back(&entry);
  }
  std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return a->offset < b->offset;
  });
  for (size_t i = 1; i < order.size(); ++i) {
    if (order[i - 1]->offset + order[i - 1]->packed > order[i]->offset) {
      fail(
          path,
          "entries '" + order[i - 1]->name + "' and '" + order[i]->name +
              "' overlap");
    }
  }
}

const ZipEntry* ZipFile::find(std::string_view name) const {
  for (const auto& entry : entries_) {
    if (entry.name == name) {
      return &entry;
    }
  }
  return nullptr;
}

Bytes ZipFile::inflate(const ZipEntry& entry, uint64_t size) const {
  auto packed = file_->data().subspan(entry.offset, entry.packed);
  Bytes out(size);
  z_stream stream{};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) {
    throw Error(ErrorKind::out_of_memory, "zlib has no memory");
  }
  // zlib counts in 32 bits: feed and drain by pieces.
  constexpr size_t piece = size_t{1} << 30;
  size_t in = 0;
  size_t done = 0;
  int result = Z_OK;
  while (result == Z_OK && done < out.size()) {
    auto give = std::min(piece, packed.size() - in);
    auto take = std::min(piece, out.size() - done);
    stream.next_in =
        const_cast<Bytef*>(reinterpret_cast<const Bytef*>(packed.data() + in));
    stream.avail_in = static_cast<uInt>(give);
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + done);
    stream.avail_out = static_cast<uInt>(take);
    result = ::inflate(&stream, Z_NO_FLUSH);
    size_t used = give - stream.avail_in;
    size_t made = take - stream.avail_out;
    in += used;
    done += made;
    if (used == 0 && made == 0) {
      break;
    }
  }
  inflateEnd(&stream);
  if (done != out.size()) {
    fail(path(), "entry '" + entry.name + "' does not inflate");
  }
  return out;
}

Bytes ZipFile::read(const ZipEntry& entry, uint64_t limit) const {
  if (entry.size > limit) {
    throw Error(
        ErrorKind::too_large,
        "entry '" + entry.name + "' of '" + path() + "' has " +
            std::to_string(entry.size) + " bytes, more than " +
            std::to_string(limit));
  }
  Bytes bytes;
  if (entry.deflated) {
    bytes = inflate(entry, entry.size);
  } else {
    bytes.resize(entry.size);
    file_->read_at(entry.offset, bytes);
  }
  uLong crc =
      ::crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
  if (crc != entry.crc) {
    fail(path(), "entry '" + entry.name + "' has another checksum");
  }
  return bytes;
}

Bytes ZipFile::read_front(const ZipEntry& entry, uint64_t size) const {
  size = std::min(size, entry.size);
  if (entry.deflated) {
    return inflate(entry, size);
  }
  Bytes bytes(size);
  file_->read_at(entry.offset, bytes);
  return bytes;
}

void ZipFile::read_at(
    const ZipEntry& entry,
    uint64_t offset,
    std::span<std::byte> out) const {
  if (entry.deflated || offset > entry.size ||
      out.size() > entry.size - offset) {
    fail(path(), "entry '" + entry.name + "' is shorter than its tensor");
  }
  file_->read_at(entry.offset + offset, out);
}

} // namespace mlx_audio::checkpoint
