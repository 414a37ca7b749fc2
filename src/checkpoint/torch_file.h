// Reading of what torch.save writes since PyTorch 1.6: a zip archive with a
// pickle of the structure (NAME/data.pkl) and one entry for each storage
// (NAME/data/KEY).
#pragma once

#include <memory>
#include <nlohmann/json.hpp>

#include "checkpoint/pickle.h"
#include "checkpoint/tensor.h"
#include "checkpoint/zip.h"

namespace mlx_audio::checkpoint {

class TorchFile : public TensorSource {
 public:
  /// Opens `path`. Tensors of nested dictionaries get names joined by dots; a
  /// tensor that is no dictionary's is called "data". unsupported for the
  /// format before 1.6, TorchScript and pickles that name more than plain data.
  explicit TorchFile(const std::string& path);
  explicit TorchFile(std::shared_ptr<const File> file);

  /// In the order of the dictionaries; `offset` counts inside of the storage.
  const std::vector<TensorInfo>& tensors() const override {
    return tensors_;
  }

  /// Everything that is no tensor, as nested objects ("dims", say).
  const nlohmann::json& values() const {
    return values_;
  }

  using TensorSource::read;
  void read(const TensorInfo& tensor, std::span<std::byte> out) const override;

 private:
  struct View {
    const ZipEntry* entry;
    std::vector<int64_t> strides; // in elements
  };

  void walk(
      const Pickle& pickle,
      uint32_t at,
      const std::string& name,
      int depth,
      nlohmann::json* into);
  void add_tensor(
      const Pickle& pickle,
      const PickleValue& value,
      const std::string& name);

  std::unique_ptr<ZipFile> zip_;
  std::string prefix_; // of all entries, with its slash
  std::vector<TensorInfo> tensors_;
  std::map<std::string, View> views_;
  nlohmann::json values_ = nlohmann::json::object();
  size_t visited_ = 0;
  size_t text_ = 0;
};

} // namespace mlx_audio::checkpoint
