#include "checkpoint/ctranslate2.h"

#include <cstring>
#include <unordered_map>

#include "mlx_audio/error.h"

namespace mlx_audio::checkpoint {

namespace {

// Takes values from the front of the file.
class Reader {
 public:
  explicit Reader(const File& file) : file_(file) {}

  [[noreturn]] void fail(
      const std::string& what,
      ErrorKind kind = ErrorKind::corrupt_data) const {
    throw Error(
        kind,
        "'" + file_.path() + "' is no CTranslate2 model known here: " + what);
  }

  template <class T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof(T)), sizeof(T));
    return value;
  }

  std::string string() {
    auto size = number<uint16_t>();
    const auto* text = reinterpret_cast<const char*>(take(size));
    if (size == 0 || text[size - 1] != 0 ||
        std::memchr(text, 0, size) != text + size - 1) {
      fail("a name at byte " + std::to_string(at_) + " has no end");
    }
    return {text, size - 1u};
  }

  const std::byte* take(uint64_t size) {
    if (size > file_.size() - at_) {
      fail("it ends at byte " + std::to_string(file_.size()));
    }
    const std::byte* data = file_.data().data() + at_;
    at_ += size;
    return data;
  }

  uint64_t at() const {
    return at_;
  }
  bool at_end() const {
    return at_ == file_.size();
  }

 private:
  const File& file_;
  uint64_t at_ = 0;
};

} // namespace

CTranslate2File::CTranslate2File(const std::string& path)
    : CTranslate2File(File::open(path)) {}

CTranslate2File::CTranslate2File(std::shared_ptr<const File> file)
    : file_(std::move(file)) {
  static constexpr DType types[] = {
      DType::float32,
      DType::int8,
      DType::int16,
      DType::int32,
      DType::float16,
      DType::bfloat16};
  Reader in(*file_);
  auto version = in.number<uint32_t>();
  if (version != 6) {
    in.fail(
        "binary version " + std::to_string(version) + " instead of 6",
        ErrorKind::unsupported);
  }
  spec_ = in.string();
  in.number<uint32_t>(); // revision of the spec
  std::unordered_map<std::string, size_t> names;
  auto variables = in.number<uint32_t>();
  for (uint32_t i = 0; i < variables; ++i) {
    TensorInfo tensor;
    tensor.name = in.string();
    auto rank = in.number<uint8_t>();
    for (uint8_t axis = 0; axis < rank; ++axis) {
      tensor.shape.push_back(in.number<uint32_t>());
    }
    auto type = in.number<uint8_t>();
    if (type >= std::size(types)) {
      in.fail(
          "variable '" + tensor.name + "' has the type " +
          std::to_string(type));
    }
    tensor.dtype = types[type];
    tensor.bytes = in.number<uint32_t>();
    if (tensor.bytes != byte_size(tensor.name, tensor.dtype, tensor.shape)) {
      in.fail(
          "variable '" + tensor.name + "' of shape " + to_string(tensor.shape) +
          " has " + std::to_string(tensor.bytes) + " bytes");
    }
    tensor.offset = in.at();
    in.take(tensor.bytes);
    if (!names.emplace(tensor.name, tensors_.size()).second) {
      in.fail("two variables are called '" + tensor.name + "'");
    }
    tensors_.push_back(std::move(tensor));
  }
  auto aliases = in.number<uint32_t>();
  for (uint32_t i = 0; i < aliases; ++i) {
    std::string alias = in.string();
    std::string target = in.string();
    auto found = names.find(target);
    if (found == names.end()) {
      in.fail("alias '" + alias + "' of the missing '" + target + "'");
    }
    TensorInfo tensor = tensors_[found->second];
    tensor.name = alias;
    if (!names.emplace(alias, tensors_.size()).second) {
      in.fail("two variables are called '" + alias + "'");
    }
    tensors_.push_back(std::move(tensor));
  }
  if (!in.at_end()) {
    in.fail("bytes follow its end");
  }
}

void CTranslate2File::read(const TensorInfo& tensor, std::span<std::byte> out)
    const {
  file_->read_at(tensor.offset, out.first(tensor.bytes));
}

} // namespace mlx_audio::checkpoint
