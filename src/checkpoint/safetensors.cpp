#include "checkpoint/safetensors.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "mlx_audio/error.h"

namespace mlx_audio::checkpoint {

namespace {

using nlohmann::json;

constexpr uint64_t max_header = 100'000'000;

[[noreturn]] void
corrupt(const std::string& path, const std::string& what, ErrorKind kind) {
  throw Error(
      kind,
      "'" + path + "' is no valid safetensors file: " + what,
      "fetch or convert the checkpoint again");
}

// Reads the header as events, so that a hostile one costs no tree in memory:
// {"name": {"dtype": "F32", "shape": [..], "data_offsets": [a, b]}, ..,
//  "__metadata__": {"key": "value", ..}}
class HeaderReader : public nlohmann::json_sax<json> {
 public:
  std::vector<TensorInfo> tensors;
  std::vector<uint64_t> ends;
  std::map<std::string, std::string> metadata;
  std::string error;
  ErrorKind kind = ErrorKind::corrupt_data;

  bool null() override {
    if (depth_ == 1 && in_metadata_ && !in_array_) {
      return true; // what MLX writes when it is given no metadata
    }
    return fail("null in the header");
  }
  bool boolean(bool) override {
    return fail("true or false in the header");
  }
  bool number_integer(number_integer_t) override {
    return fail("a negative number in tensor '" + name_ + "'");
  }
  bool number_float(number_float_t, const string_t& text) override {
    return fail("the number " + text.substr(0, 40));
  }
  bool binary(binary_t&) override {
    return fail("binary data in the header");
  }

  bool number_unsigned(number_unsigned_t value) override {
    if (!in_array_) {
      return fail("a number where none belongs, at '" + name_ + "'");
    }
    if (field_ == "shape") {
      if (value > uint64_t{1} << 60 || tensor_.shape.size() == 16) {
        return fail("the shape of tensor '" + name_ + "'");
      }
      tensor_.shape.push_back(static_cast<int64_t>(value));
    } else if (offsets_ < 2) {
      (offsets_ == 0 ? begin_ : end_) = value;
      ++offsets_;
    } else {
      return fail("more than two data_offsets in tensor '" + name_ + "'");
    }
    return true;
  }

  bool string(string_t& value) override {
    if (depth_ == 2 && in_metadata_) {
      metadata[field_] = value;
      return true;
    }
    if (depth_ != 2 || in_array_ || field_ != "dtype") {
      return fail("a string where none belongs, at '" + name_ + "'");
    }
    auto dtype = dtype_from_string(value);
    if (!dtype) {
      kind = ErrorKind::unsupported;
      return fail(
          "tensor '" + name_ + "' has the unknown type '" +
          value.substr(0, 40) + "'");
    }
    tensor_.dtype = *dtype;
    has_dtype_ = true;
    return true;
  }

  bool start_object(std::size_t) override {
    if (in_array_ || depth_ == 2) {
      return fail("an object inside of '" + name_ + "'");
    }
    ++depth_;
    return true;
  }

  bool key(string_t& value) override {
    if (depth_ == 1) {
      name_ = value;
      in_metadata_ = value == "__metadata__";
      tensor_ = {};
      tensor_.name = value;
      has_dtype_ = has_shape_ = has_offsets_ = false;
      if (!names_.insert(value).second) {
        return fail("'" + value + "' is there twice");
      }
      return true;
    }
    field_ = value;
    if (!in_metadata_ && value != "dtype" && value != "shape" &&
        value != "data_offsets") {
      return fail("the field '" + value + "' of tensor '" + name_ + "'");
    }
    return true;
  }

  bool end_object() override {
    if (--depth_ == 1 && !in_metadata_) {
      if (!has_dtype_ || !has_shape_ || !has_offsets_) {
        return fail(
            "tensor '" + name_ + "' lacks dtype, shape or data_offsets");
      }
      tensor_.offset = begin_;
      ends.push_back(end_);
      tensors.push_back(std::move(tensor_));
    }
    return true;
  }

  bool start_array(std::size_t) override {
    if (depth_ != 2 || in_array_ || in_metadata_ || field_ == "dtype") {
      return fail("a list where none belongs, at '" + name_ + "'");
    }
    bool& seen = field_ == "shape" ? has_shape_ : has_offsets_;
    if (seen) {
      return fail("'" + field_ + "' twice in tensor '" + name_ + "'");
    }
    seen = true;
    in_array_ = true;
    offsets_ = 0;
    return true;
  }

  bool end_array() override {
    in_array_ = false;
    return field_ == "shape" || offsets_ == 2 ||
        fail("one data_offsets in tensor '" + name_ + "'");
  }

  bool parse_error(
      std::size_t position,
      const std::string&,
      const nlohmann::detail::exception&) override {
    return fail(
        "no JSON at byte " + std::to_string(position) + " of the header");
  }

 private:
  bool fail(std::string what) {
    if (error.empty()) {
      error = std::move(what);
    }
    return false;
  }

  int depth_ = 0;
  bool in_array_ = false;
  bool in_metadata_ = false;
  bool has_dtype_ = false;
  bool has_shape_ = false;
  bool has_offsets_ = false;
  int offsets_ = 0;
  uint64_t begin_ = 0;
  uint64_t end_ = 0;
  std::string name_;
  std::string field_;
  TensorInfo tensor_;
  std::set<std::string> names_;
};

} // namespace

SafetensorsFile::SafetensorsFile(const std::string& path)
    : SafetensorsFile(File::open(path)) {}

SafetensorsFile::SafetensorsFile(std::shared_ptr<const File> file)
    : file_(std::move(file)) {
  const std::string& path = file_->path();
  auto bad = [&](const std::string& what,
                 ErrorKind kind = ErrorKind::corrupt_data) {
    corrupt(path, what, kind);
  };
  if (file_->size() < 8) {
    bad("it has " + std::to_string(file_->size()) + " bytes");
  }
  uint64_t header = 0;
  std::memcpy(&header, file_->data().data(), 8);
  if (header > max_header || header > file_->size() - 8) {
    bad("its header claims " + std::to_string(header) + " bytes");
  }
  const auto* text = reinterpret_cast<const char*>(file_->data().data()) + 8;
  if (header == 0 || text[0] != '{') {
    bad("its header does not begin with '{'");
  }
  HeaderReader reader;
  if (!json::sax_parse(text, text + header, &reader)) {
    bad(reader.error, reader.kind);
  }
  uint64_t start = 8 + header;
  uint64_t room = file_->size() - start;
  std::vector<size_t> order(reader.tensors.size());
  for (size_t i = 0; i < order.size(); ++i) {
    order[i] = i;
  }
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return std::pair(reader.tensors[a].offset, reader.ends[a]) <
        std::pair(reader.tensors[b].offset, reader.ends[b]);
  });
  uint64_t at = 0;
  tensors_.reserve(order.size());
  for (size_t i : order) {
    TensorInfo& tensor = reader.tensors[i];
    uint64_t end = reader.ends[i];
    tensor.bytes = byte_size(tensor.name, tensor.dtype, tensor.shape);
    if (end > room || tensor.offset > end) {
      bad("tensor '" + tensor.name + "' lies outside of the file");
    }
    if (tensor.offset != at) {
      bad("tensor '" + tensor.name + "' " +
          (tensor.offset < at ? "overlaps the one before it"
                              : "leaves a gap before it"));
    }
    if (end - tensor.offset != tensor.bytes) {
      bad("tensor '" + tensor.name + "' of shape " + to_string(tensor.shape) +
          " has " + std::to_string(end - tensor.offset) + " bytes instead of " +
          std::to_string(tensor.bytes));
    }
    at = end;
    tensor.offset += start;
    tensors_.push_back(std::move(tensor));
  }
  if (at != room) {
    bad(std::to_string(room - at) + " bytes follow the last tensor");
  }
  metadata_ = std::move(reader.metadata);
}

void SafetensorsFile::read(const TensorInfo& tensor, std::span<std::byte> out)
    const {
  file_->read_at(tensor.offset, out.first(tensor.bytes));
}

std::span<const std::byte> SafetensorsFile::data(
    const TensorInfo& tensor) const {
  return file_->data().subspan(tensor.offset, tensor.bytes);
}

} // namespace mlx_audio::checkpoint
