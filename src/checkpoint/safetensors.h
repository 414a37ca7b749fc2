// Reading of safetensors files, strictly: 8 bytes of header length, a JSON
// header and tensors that fill the rest without gap or overlap
// (https://github.com/huggingface/safetensors, "Format").
#pragma once

#include <memory>

#include "checkpoint/file.h"
#include "checkpoint/tensor.h"

namespace mlx_audio::checkpoint {

class SafetensorsFile : public TensorSource {
 public:
  /// Opens `path` and checks the whole header: at most 100 MB of it, known
  /// types, shapes that match the byte ranges, ranges that tile the file to its
  /// last byte, no name twice. Anything else is corrupt_data.
  explicit SafetensorsFile(const std::string& path);
  explicit SafetensorsFile(std::shared_ptr<const File> file);

  /// Ordered by offset; `offset` counts from the start of the file.
  const std::vector<TensorInfo>& tensors() const override {
    return tensors_;
  }
  const std::map<std::string, std::string>& metadata() const override {
    return metadata_;
  }

  using TensorSource::read;
  void read(const TensorInfo& tensor, std::span<std::byte> out) const override;

  /// The tensor's bytes in the mapped file, valid as long as this object (or
  /// its file()) lives. Aligned to 8 only if the writer took care of it.
  std::span<const std::byte> data(const TensorInfo& tensor) const;

  const std::shared_ptr<const File>& file() const {
    return file_;
  }

 private:
  std::shared_ptr<const File> file_;
  std::vector<TensorInfo> tensors_;
  std::map<std::string, std::string> metadata_;
};

} // namespace mlx_audio::checkpoint
