// Reading of CTranslate2's model.bin, binary version 6
// (python/ctranslate2/specs /model_spec.py of github.com/OpenNMT/CTranslate2),
// little endian:
//   u32 version, string spec name, u32 spec revision,
//   u32 count, then each: string name, u8 rank, u32 sizes, u8 type, u32 bytes,
//     data
//   u32 count, then each alias: string name, string variable
// A string is a u16 length that counts the final NUL, and the bytes.
#pragma once

#include <memory>

#include "checkpoint/file.h"
#include "checkpoint/tensor.h"

namespace mlx_audio::checkpoint {

class CTranslate2File : public TensorSource {
 public:
  /// Opens and checks `path`: corrupt_data for lengths that leave the file,
  /// data that does not match its shape or a name that is there twice;
  /// unsupported for another version.
  explicit CTranslate2File(const std::string& path);
  explicit CTranslate2File(std::shared_ptr<const File> file);

  /// The variables, in the order of the file, then an entry for each alias.
  const std::vector<TensorInfo>& tensors() const override {
    return tensors_;
  }
  /// E.g. "WhisperSpec".
  const std::string& spec() const {
    return spec_;
  }

  using TensorSource::read;
  void read(const TensorInfo& tensor, std::span<std::byte> out) const override;

 private:
  std::shared_ptr<const File> file_;
  std::vector<TensorInfo> tensors_;
  std::string spec_;
};

} // namespace mlx_audio::checkpoint
