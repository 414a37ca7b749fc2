#include "checkpoint/torch_file.h"

#include <cmath>
#include <cstring>

#include "mlx_audio/error.h"

namespace mlx_audio::checkpoint {

namespace {

using Kind = PickleValue::Kind;
using nlohmann::json;

constexpr size_t max_pickle = 64'000'000;
constexpr size_t max_visited = 1'000'000;
constexpr uint64_t max_inflated = 8'000'000'000;

std::optional<DType> dtype_of(const std::string& global) {
  static const std::map<std::string, DType> types = {
      {"FloatStorage", DType::float32},
      {"float32", DType::float32},
      {"DoubleStorage", DType::float64},
      {"float64", DType::float64},
      {"HalfStorage", DType::float16},
      {"float16", DType::float16},
      {"BFloat16Storage", DType::bfloat16},
      {"bfloat16", DType::bfloat16},
      {"ByteStorage", DType::uint8},
      {"uint8", DType::uint8},
      {"CharStorage", DType::int8},
      {"int8", DType::int8},
      {"ShortStorage", DType::int16},
      {"int16", DType::int16},
      {"IntStorage", DType::int32},
      {"int32", DType::int32},
      {"LongStorage", DType::int64},
      {"int64", DType::int64},
      {"BoolStorage", DType::boolean},
      {"bool", DType::boolean},
      {"uint16", DType::uint16},
      {"uint32", DType::uint32},
      {"uint64", DType::uint64},
      {"float8_e4m3fn", DType::float8_e4m3},
      {"float8_e5m2", DType::float8_e5m2},
  };
  size_t space = global.find(' ');
  auto found =
      types.find(space == std::string::npos ? "" : global.substr(space + 1));
  return found == types.end() ? std::nullopt : std::optional(found->second);
}

} // namespace

TorchFile::TorchFile(const std::string& path) : TorchFile(File::open(path)) {}

TorchFile::TorchFile(std::shared_ptr<const File> file) {
  const std::string path = file->path();
  auto data = file->data();
  if (data.size() < 2 || std::memcmp(data.data(), "PK", 2) != 0) {
    throw Error(
        ErrorKind::unsupported,
        "'" + path + "' is no PyTorch checkpoint of version 1.6 or later",
        "load it in Python and save it again");
  }
  zip_ = std::make_unique<ZipFile>(std::move(file));
  const ZipEntry* pickle = nullptr;
  for (const auto& entry : zip_->entries()) {
    const std::string name = "data.pkl";
    if (entry.name.size() >= name.size() &&
        entry.name.substr(entry.name.size() - name.size()) == name) {
      prefix_ = entry.name.substr(0, entry.name.size() - name.size());
      if (prefix_.empty() || prefix_.back() == '/') {
        pickle = &entry;
        break;
      }
    }
  }
  if (!pickle) {
    throw Error(
        ErrorKind::corrupt_data, "'" + path + "' has no entry data.pkl");
  }
  if (zip_->find(prefix_ + "constants.pkl")) {
    throw Error(
        ErrorKind::unsupported,
        "'" + path + "' is a TorchScript program, not a checkpoint");
  }
  if (const ZipEntry* order = zip_->find(prefix_ + "byteorder")) {
    Bytes text = zip_->read_front(*order, 16);
    if (text.size() != 6 || std::memcmp(text.data(), "little", 6) != 0) {
      throw Error(
          ErrorKind::unsupported, "'" + path + "' is not little endian");
    }
  }
  Bytes bytes = zip_->read(*pickle, max_pickle);
  Pickle parsed = parse_pickle(bytes, path);
  walk(parsed, parsed.root, "", 0, &values_);
}

// Dictionaries may be shared or hold themselves: depth and visits are bounded.
void TorchFile::walk(
    const Pickle& pickle,
    uint32_t at,
    const std::string& name,
    int depth,
    json* into) {
  if (depth > 32 || ++visited_ > max_visited || name.size() > 4096) {
    throw Error(
        ErrorKind::corrupt_data,
        "'" + zip_->path() + "' nests without end at '" + name.substr(0, 100) +
            "'");
  }
  const PickleValue& value = pickle[at];
  switch (value.kind) {
    case Kind::tensor:
      add_tensor(pickle, value, name.empty() ? "data" : name);
      *into = nullptr;
      return;
    case Kind::dict:
      *into = json::object();
      for (size_t i = 0; i + 1 < value.items.size(); i += 2) {
        const PickleValue& key = pickle[value.items[i]];
        std::string text =
            key.kind == Kind::integer ? std::to_string(key.integer) : key.text;
        if (key.kind != Kind::text && key.kind != Kind::integer) {
          throw Error(
              ErrorKind::corrupt_data,
              "'" + zip_->path() + "' has a key that is no text");
        }
        json child;
        walk(
            pickle,
            value.items[i + 1],
            name.empty() ? text : name + "." + text,
            depth + 1,
            &child);
        bool tensor = pickle[value.items[i + 1]].kind == Kind::tensor;
        if (!tensor) {
          (*into)[text] = std::move(child);
        }
      }
      return;
    case Kind::list:
    case Kind::tuple:
      *into = json::array();
      for (size_t i = 0; i < value.items.size(); ++i) {
        json child;
        std::string part = std::to_string(i);
        walk(
            pickle,
            value.items[i],
            name.empty() ? part : name + "." + part,
            depth + 1,
            &child);
        into->push_back(std::move(child));
      }
      return;
    case Kind::boolean:
      *into = value.integer != 0;
      return;
    case Kind::integer:
      *into = value.integer;
      return;
    case Kind::real:
      *into = value.real;
      return;
    case Kind::text:
      text_ += value.text.size();
      if (text_ > max_pickle) {
        throw Error(
            ErrorKind::too_large, "'" + zip_->path() + "' holds too much text");
      }
      *into = value.text;
      return;
    default:
      *into = nullptr;
  }
}

void TorchFile::add_tensor(
    const Pickle& pickle,
    const PickleValue& value,
    const std::string& name) {
  auto fail = [&](const std::string& what) -> Error {
    return {
        ErrorKind::corrupt_data,
        "tensor '" + name + "' of '" + zip_->path() + "': " + what};
  };
  // storage, offset, sizes, strides, requires_grad, hooks [, dtype]
  bool typed = value.integer == 3;
  if (value.items.size() < (typed ? 7u : 4u)) {
    throw fail("it has too few parts");
  }
  const PickleValue& storage = pickle[value.items[0]];
  const PickleValue& offset = pickle[value.items[1]];
  const PickleValue& sizes = pickle[value.items[2]];
  const PickleValue& strides = pickle[value.items[3]];
  // "storage", type, key, location, elements
  if (storage.kind != Kind::storage || storage.items.size() < 3 ||
      offset.kind != Kind::integer || offset.integer < 0 ||
      sizes.kind != Kind::tuple || strides.kind != Kind::tuple ||
      sizes.items.size() != strides.items.size()) {
    throw fail("its parts are not a tensor's");
  }
  const PickleValue& type = pickle[typed ? value.items[6] : storage.items[1]];
  const PickleValue& key = pickle[storage.items[2]];
  auto dtype = type.kind == Kind::global ? dtype_of(type.text) : std::nullopt;
  if (!dtype) {
    throw fail("its type is unknown");
  }
  View view{zip_->find(prefix_ + "data/" + key.text), {}};
  if (!view.entry) {
    throw fail("its data is missing");
  }
  TensorInfo tensor{name, *dtype, {}, 0, 0};
  uint64_t elements = view.entry->size / item_size(*dtype);
  uint64_t last = static_cast<uint64_t>(offset.integer);
  bool empty = false;
  for (size_t i = 0; i < sizes.items.size(); ++i) {
    const PickleValue& size = pickle[sizes.items[i]];
    const PickleValue& stride = pickle[strides.items[i]];
    constexpr int64_t limit = int64_t{1} << 48;
    if (size.kind != Kind::integer || stride.kind != Kind::integer ||
        size.integer < 0 || stride.integer < 0 || size.integer > limit ||
        stride.integer > limit) {
      throw fail("its sizes or strides");
    }
    tensor.shape.push_back(size.integer);
    view.strides.push_back(stride.integer);
    empty = empty || size.integer == 0;
  }
  tensor.bytes = byte_size(name, *dtype, tensor.shape);
  for (size_t i = 0; i < tensor.shape.size() && !empty; ++i) {
    auto steps = static_cast<uint64_t>(tensor.shape[i] - 1);
    auto stride = static_cast<uint64_t>(view.strides[i]);
    if (stride != 0 && steps > elements / stride) {
      throw fail("it reaches past its data");
    }
    last += steps * stride;
  }
  if (!empty && last >= elements) {
    throw fail("it reaches past its data");
  }
  // A tensor expanded from a few elements could be of any size.
  if (tensor.bytes > view.entry->size) {
    throw fail("it is larger than its data");
  }
  tensor.offset = static_cast<uint64_t>(offset.integer) * item_size(*dtype);
  if (!views_.emplace(name, std::move(view)).second) {
    throw fail("two tensors have this name");
  }
  tensors_.push_back(std::move(tensor));
}

void TorchFile::read(const TensorInfo& tensor, std::span<std::byte> out) const {
  const View& view = views_.at(tensor.name);
  out = out.first(tensor.bytes);
  if (out.empty()) {
    return;
  }
  size_t rank = tensor.shape.size();
  bool contiguous = true;
  int64_t expected = 1;
  for (size_t i = rank; i-- > 0;) {
    contiguous =
        contiguous && (tensor.shape[i] == 1 || view.strides[i] == expected);
    expected *= tensor.shape[i];
  }
  if (contiguous && !view.entry->deflated) {
    zip_->read_at(*view.entry, tensor.offset, out);
    return;
  }
  uint64_t item = item_size(tensor.dtype);
  uint64_t span = item;
  for (size_t i = 0; i < rank; ++i) {
    span += static_cast<uint64_t>(tensor.shape[i] - 1) *
        static_cast<uint64_t>(view.strides[i]) * item;
  }
  Bytes data;
  if (view.entry->deflated) {
    data = zip_->read(*view.entry, max_inflated);
    data.erase(
        data.begin(),
        data.begin() + static_cast<std::ptrdiff_t>(tensor.offset));
  } else {
    data.resize(span);
    zip_->read_at(*view.entry, tensor.offset, data);
  }
  std::vector<int64_t> index(rank, 0);
  for (size_t at = 0; at < out.size(); at += item) {
    uint64_t from = 0;
    for (size_t i = 0; i < rank; ++i) {
      from += static_cast<uint64_t>(index[i] * view.strides[i]) * item;
    }
    std::memcpy(out.data() + at, data.data() + from, item);
    for (size_t i = rank; i-- > 0;) {
      if (++index[i] < tensor.shape[i]) {
        break;
      }
      index[i] = 0;
    }
  }
}

} // namespace mlx_audio::checkpoint
