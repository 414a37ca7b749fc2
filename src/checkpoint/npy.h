// Reading of NumPy's .npy and .npz (numpy.lib.format, versions 1 to 3).
#pragma once

#include <memory>

#include "checkpoint/tensor.h"
#include "checkpoint/zip.h"

namespace mlx_audio::checkpoint {

struct NpyHeader {
  DType dtype = DType::float32;
  Shape shape;
  bool fortran_order = false; ///< first axis fastest
  uint64_t data_offset = 0; ///< from the start of the file
};

/// Reads a header of at most 64 KB; `name` is what errors call it.
/// corrupt_data, or unsupported for objects, strings, records and big endian.
/// MLX writes bfloat16 as "V2", which is taken for it.
NpyHeader parse_npy_header(
    std::span<const std::byte> front,
    const std::string& name);

/// All arrays of an .npz by name, or the one of an .npy, called "data".
/// Compressed arrays of more than 8 GB are too_large.
class NpyFile : public TensorSource {
 public:
  explicit NpyFile(const std::string& path);
  explicit NpyFile(std::shared_ptr<const File> file);

  /// `offset` counts from the start of the array's own .npy.
  const std::vector<TensorInfo>& tensors() const override {
    return tensors_;
  }

  using TensorSource::read;
  void read(const TensorInfo& tensor, std::span<std::byte> out) const override;

 private:
  void
  add(const std::string& name, const NpyHeader& header, uint64_t file_size);

  std::shared_ptr<const File> file_;
  std::unique_ptr<ZipFile> zip_; // null for a single .npy
  std::vector<TensorInfo> tensors_;
  std::map<std::string, bool> fortran_;
};

} // namespace mlx_audio::checkpoint
