#include "checkpoint/npy.h"

#include <algorithm>
#include <cstring>

#include "mlx_audio/error.h"

namespace mlx_audio::checkpoint {

namespace {

constexpr uint64_t max_header = 65536 + 12;
constexpr uint64_t max_inflated = 8'000'000'000;

[[noreturn]] void fail(
    const std::string& name,
    const std::string& what,
    ErrorKind kind = ErrorKind::corrupt_data) {
  throw Error(kind, "'" + name + "' is no NumPy array known here: " + what);
}

DType dtype_of(const std::string& text, const std::string& name) {
  static const std::map<std::string, DType> types = {
      {"b1", DType::boolean},
      {"u1", DType::uint8},
      {"i1", DType::int8},
      {"u2", DType::uint16},
      {"i2", DType::int16},
      {"u4", DType::uint32},
      {"i4", DType::int32},
      {"u8", DType::uint64},
      {"i8", DType::int64},
      {"f2", DType::float16},
      {"V2", DType::bfloat16},
      {"f4", DType::float32},
      {"f8", DType::float64},
      {"c8", DType::complex64},
  };
  auto found = text.size() == 3 && (text[0] == '<' || text[0] == '|')
      ? types.find(text.substr(1))
      : types.end();
  if (found == types.end()) {
    fail(name, "the type '" + text.substr(0, 40) + "'", ErrorKind::unsupported);
  }
  return found->second;
}

// Reads the header's Python literal, of which NumPy writes one form only:
// {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }
class Literal {
 public:
  Literal(std::string_view text, const std::string& name)
      : text_(text), name_(name) {}

  NpyHeader parse() {
    NpyHeader header;
    bool descr = false;
    bool order = false;
    bool shape = false;
    expect('{');
    while (!accept('}')) {
      std::string key = string();
      expect(':');
      if (key == "descr" && !descr) {
        descr = true;
        header.dtype = dtype_of(string(), name_);
      } else if (key == "fortran_order" && !order) {
        order = true;
        header.fortran_order = word("True");
        if (!header.fortran_order && !word("False")) {
          fail(name_, "its fortran_order");
        }
      } else if (key == "shape" && !shape) {
        shape = true;
        expect('(');
        while (!accept(')')) {
          header.shape.push_back(number());
          if (!accept(',')) {
            expect(')');
            break;
          }
        }
      } else {
        fail(name_, "its header has the key '" + key + "'");
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    if (!descr || !order || !shape) {
      fail(name_, "its header lacks descr, fortran_order or shape");
    }
    return header;
  }

 private:
  void skip() {
    while (!text_.empty() && text_[0] == ' ') {
      text_.remove_prefix(1);
    }
  }

  bool accept(char c) {
    skip();
    if (text_.empty() || text_[0] != c) {
      return false;
    }
    text_.remove_prefix(1);
    return true;
  }

  void expect(char c) {
    if (!accept(c)) {
      fail(name_, std::string("its header lacks a '") + c + "'");
    }
  }

  bool word(std::string_view value) {
    skip();
    bool found = text_.substr(0, value.size()) == value;
    text_.remove_prefix(found ? value.size() : 0);
    return found;
  }

  std::string string() {
    char quote = accept('"') ? '"' : '\'';
    if (quote == '\'') {
      expect('\'');
    }
    size_t end = text_.find(quote);
    if (end == std::string_view::npos || end > 64) {
      fail(name_, "a string in its header");
    }
    std::string value(text_.substr(0, end));
    text_.remove_prefix(end + 1);
    return value;
  }

  int64_t number() {
    skip();
    int64_t value = 0;
    size_t digits = 0;
    while (digits < text_.size() && text_[digits] >= '0' &&
           text_[digits] <= '9' && digits < 18) {
      value = value * 10 + (text_[digits] - '0');
      ++digits;
    }
    if (digits == 0) {
      fail(name_, "its shape");
    }
    text_.remove_prefix(digits);
    return value;
  }

  std::string_view text_;
  const std::string& name_;
};

} // namespace

NpyHeader parse_npy_header(
    std::span<const std::byte> front,
    const std::string& name) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(front.data());
  if (front.size() < 10 || std::memcmp(bytes, "\x93NUMPY", 6) != 0) {
    fail(name, "it does not begin like one");
  }
  unsigned version = bytes[6];
  if (version < 1 || version > 3) {
    fail(name, "version " + std::to_string(version), ErrorKind::unsupported);
  }
  size_t start = version == 1 ? 10 : 12;
  uint64_t size = bytes[8] | bytes[9] << 8;
  if (version > 1) {
    if (front.size() < start) {
      fail(name, "its header is cut");
    }
    size |= static_cast<uint64_t>(bytes[10]) << 16 |
        static_cast<uint64_t>(bytes[11]) << 24;
  }
  if (size > 65536 || size > front.size() - start) {
    fail(name, "its header claims " + std::to_string(size) + " bytes");
  }
  std::string_view text(
      reinterpret_cast<const char*>(front.data()) + start, size);
  NpyHeader header = Literal(text, name).parse();
  header.data_offset = start + size;
  return header;
}

NpyFile::NpyFile(const std::string& path) : NpyFile(File::open(path)) {}

NpyFile::NpyFile(std::shared_ptr<const File> file) : file_(std::move(file)) {
  auto data = file_->data();
  if (data.size() < 2 || std::memcmp(data.data(), "PK", 2) != 0) {
    auto front = data.first(std::min<size_t>(data.size(), max_header));
    add("data", parse_npy_header(front, file_->path()), data.size());
    return;
  }
  zip_ = std::make_unique<ZipFile>(file_);
  for (const auto& entry : zip_->entries()) {
    std::string name = entry.name;
    if (name.size() > 4 && name.compare(name.size() - 4, 4, ".npy") == 0) {
      name.resize(name.size() - 4);
    }
    add(name,
        parse_npy_header(zip_->read_front(entry, max_header), entry.name),
        entry.size);
  }
}

void NpyFile::add(
    const std::string& name,
    const NpyHeader& header,
    uint64_t file_size) {
  TensorInfo tensor{name, header.dtype, header.shape, header.data_offset, 0};
  tensor.bytes = byte_size(name, header.dtype, header.shape);
  if (file_size - header.data_offset != tensor.bytes) {
    fail(
        name,
        "shape " + to_string(header.shape) + " with " +
            std::to_string(file_size - header.data_offset) + " bytes");
  }
  if (!fortran_.emplace(name, header.fortran_order).second) {
    fail(name, "two arrays have this name");
  }
  tensors_.push_back(std::move(tensor));
}

void NpyFile::read(const TensorInfo& tensor, std::span<std::byte> out) const {
  out = out.first(tensor.bytes);
  if (!zip_) {
    file_->read_at(tensor.offset, out);
  } else {
    const ZipEntry* entry = zip_->find(tensor.name + ".npy");
    if (!entry) {
      entry = zip_->find(tensor.name);
    }
    Bytes all = zip_->read(*entry, max_inflated);
    std::copy_n(
        all.begin() + static_cast<std::ptrdiff_t>(tensor.offset),
        out.size(),
        out.begin());
  }
  if (fortran_.at(tensor.name) && tensor.shape.size() > 1) {
    Bytes packed(out.begin(), out.end());
    size_t item = item_size(tensor.dtype);
    std::vector<int64_t> index(tensor.shape.size(), 0);
    for (size_t at = 0; at < packed.size(); at += item) {
      size_t target = 0;
      for (size_t i = 0; i < index.size(); ++i) {
        target = target * static_cast<size_t>(tensor.shape[i]) +
            static_cast<size_t>(index[i]);
      }
      std::memcpy(out.data() + target * item, packed.data() + at, item);
      for (size_t i = 0; i < index.size() && ++index[i] == tensor.shape[i];
           ++i) {
        index[i] = 0;
      }
    }
  }
}

} // namespace mlx_audio::checkpoint
