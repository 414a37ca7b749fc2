#include "checkpoint/onnx.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "mlx_audio/error.h"

namespace mlx_audio::checkpoint {

namespace {

using Span = std::span<const std::byte>;

[[noreturn]] void corrupt(const std::string& what) {
  throw Error(ErrorKind::corrupt_data, "no valid ONNX model: " + what);
}

// Steps through the fields of one protobuf message.
class Fields {
 public:
  explicit Fields(Span bytes) : bytes_(bytes) {}

  uint32_t number = 0;
  uint32_t wire = 0;
  uint64_t value = 0; // of a varint
  Span data; // of anything else

  bool next() {
    if (bytes_.empty()) {
      return false;
    }
    data = {};
    uint64_t tag = varint(bytes_);
    number = static_cast<uint32_t>(tag >> 3);
    wire = static_cast<uint32_t>(tag & 7);
    if (number == 0 || tag >> 32 != 0) {
      corrupt("a field without a number");
    }
    switch (wire) {
      case 0:
        value = varint(bytes_);
        return true;
      case 1:
        data = take(8);
        return true;
      case 2:
        data = take(varint(bytes_));
        return true;
      case 5:
        data = take(4);
        return true;
      default:
        corrupt("wire type " + std::to_string(wire));
    }
  }

  // The value as a message, a string or bytes.
  Span chunk() const {
    if (wire != 2) {
      corrupt("field " + std::to_string(number) + " is no chunk of bytes");
    }
    return data;
  }

  std::string name() const {
    Span text = chunk();
    if (text.size() > 4096) {
      corrupt("a name of " + std::to_string(text.size()) + " bytes");
    }
    return {reinterpret_cast<const char*>(text.data()), text.size()};
  }

  uint64_t number_value() const {
    if (wire != 0) {
      corrupt("field " + std::to_string(number) + " is no number");
    }
    return value;
  }

  static uint64_t varint(Span& bytes) {
    uint64_t result = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (bytes.empty()) {
        corrupt("it ends inside of a number");
      }
      auto byte = static_cast<uint64_t>(bytes.front());
      bytes = bytes.subspan(1);
      result |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        return result;
      }
    }
    corrupt("a number of more than 10 bytes");
  }

 private:
  Span take(uint64_t size) {
    if (size > bytes_.size()) {
      corrupt("a field of " + std::to_string(size) + " bytes ends after it");
    }
    Span part = bytes_.first(size);
    bytes_ = bytes_.subspan(size);
    return part;
  }

  Span bytes_;
};

// Calls `use` for each number of a repeated integer field, packed or not.
template <class Use>
void each_number(const Fields& field, Use use) {
  if (field.wire == 0) {
    use(field.value);
    return;
  }
  Span packed = field.chunk();
  while (!packed.empty()) {
    use(Fields::varint(packed));
  }
}

// TensorProto.DataType to ours; empty for strings and what MLX has no type for.
std::optional<DType> dtype_of(uint64_t type) {
  switch (type) {
    case 1:
      return DType::float32;
    case 2:
      return DType::uint8;
    case 3:
      return DType::int8;
    case 4:
      return DType::uint16;
    case 5:
      return DType::int16;
    case 6:
      return DType::int32;
    case 7:
      return DType::int64;
    case 9:
      return DType::boolean;
    case 10:
      return DType::float16;
    case 11:
      return DType::float64;
    case 12:
      return DType::uint32;
    case 13:
      return DType::uint64;
    case 16:
      return DType::bfloat16;
    default:
      return std::nullopt;
  }
}

// Fields of TensorProto.
enum : uint32_t {
  dims_field = 1,
  data_type_field = 2,
  float_field = 4,
  int32_field = 5,
  int64_field = 7,
  name_field = 8,
  raw_field = 9,
  double_field = 10,
  uint64_field = 11,
  external_field = 13,
  location_field = 14,
};

// Bytes of data that one field of a TensorProto holds.
uint64_t data_bytes(const Fields& field, size_t item) {
  switch (field.number) {
    case raw_field:
      return field.chunk().size();
    case float_field:
    case double_field:
      return field.data.size();
    case int32_field:
    case int64_field:
    case uint64_field: {
      uint64_t count = 0;
      each_number(field, [&](uint64_t) { ++count; });
      return count * item;
    }
    default:
      return 0;
  }
}

} // namespace

OnnxFile::OnnxFile(const std::string& path) : OnnxFile(File::open(path)) {}

OnnxFile::OnnxFile(std::shared_ptr<const File> file) : file_(std::move(file)) {
  try {
    bool seen = false;
    for (Fields model(file_->data()); model.next();) {
      if (model.number == 7) {
        if (seen) {
          corrupt("it has two graphs");
        }
        seen = true;
        read_graph(model.chunk());
      }
    }
    if (!seen) {
      corrupt("it has no graph");
    }
  } catch (const Error& error) {
    throw Error(
        error.kind(), "'" + file_->path() + "': " + error.what(), error.hint());
  }
}

void OnnxFile::read_graph(std::span<const std::byte> graph) {
  for (Fields field(graph); field.next();) {
    if (field.number == 5) {
      read_tensor(field.chunk());
    } else if (field.number == 1) {
      OnnxNode node;
      for (Fields part(field.chunk()); part.next();) {
        if (part.number == 1) {
          node.inputs.push_back(part.name());
        } else if (part.number == 2) {
          node.outputs.push_back(part.name());
        } else if (part.number == 3) {
          node.name = part.name();
        } else if (part.number == 4) {
          node.op_type = part.name();
        }
      }
      nodes_.push_back(std::move(node));
    }
  }
  std::set<std::string_view> names;
  for (const auto& tensor : tensors_) {
    if (!names.insert(tensor.name).second) {
      corrupt("two initializers are called '" + tensor.name + "'");
    }
  }
}

void OnnxFile::read_tensor(std::span<const std::byte> message) {
  TensorInfo tensor;
  uint64_t type = 0;
  bool external = false;
  for (Fields field(message); field.next();) {
    switch (field.number) {
      case dims_field:
        each_number(field, [&](uint64_t size) {
          if (tensor.shape.size() < 17) {
            tensor.shape.push_back(static_cast<int64_t>(size));
          }
        });
        break;
      case data_type_field:
        type = field.number_value();
        break;
      case name_field:
        tensor.name = field.name();
        break;
      case location_field:
        external = field.number_value() == 1;
        break;
      case external_field:
        external = true;
        break;
      default:
        break;
    }
  }
  auto dtype = dtype_of(type);
  if (!dtype) {
    return;
  }
  if (external) {
    throw Error(
        ErrorKind::unsupported,
        "initializer '" + tensor.name + "' lies in another file");
  }
  tensor.dtype = *dtype;
  tensor.bytes = byte_size(tensor.name, tensor.dtype, tensor.shape);
  uint64_t held = 0;
  for (Fields field(message); field.next();) {
    held += data_bytes(field, item_size(tensor.dtype));
  }
  if (held != tensor.bytes) {
    corrupt(
        "initializer '" + tensor.name + "' of shape " +
        to_string(tensor.shape) + " has " + std::to_string(held) +
        " bytes instead of " + std::to_string(tensor.bytes));
  }
  tensor.offset = static_cast<uint64_t>(message.data() - file_->data().data());
  tensors_.push_back(std::move(tensor));
  messages_.push_back(message);
}

void OnnxFile::read(const TensorInfo& tensor, std::span<std::byte> out) const {
  const std::byte* start = file_->data().data() + tensor.offset;
  Span message = *std::lower_bound(
      messages_.begin(),
      messages_.end(),
      start,
      [](Span one, const std::byte* at) { return one.data() < at; });
  size_t item = item_size(tensor.dtype);
  size_t at = 0;
  auto put = [&](const void* data, size_t size) {
    std::memcpy(out.data() + at, data, size);
    at += size;
  };
  for (Fields field(message); field.next();) {
    switch (field.number) {
      case raw_field:
      case float_field:
      case double_field:
        put(field.data.data(), field.data.size());
        break;
      case int32_field:
      case int64_field:
      case uint64_field:
        each_number(field, [&](uint64_t value) { put(&value, item); });
        break;
      default:
        break;
    }
  }
}

} // namespace mlx_audio::checkpoint
