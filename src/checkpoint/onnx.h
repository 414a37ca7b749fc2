// Reading of ONNX models as far as their weights go: the graph's nodes by name
// and their initializers (https://github.com/onnx/onnx, onnx.proto3). The wire
// format is read directly: the file stays mapped, and nothing is built in
// memory but names and positions.
#pragma once

#include <memory>

#include "checkpoint/file.h"
#include "checkpoint/tensor.h"

namespace mlx_audio::checkpoint {

struct OnnxNode {
  std::string name;
  std::string op_type;
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
};

class OnnxFile : public TensorSource {
 public:
  /// Opens and checks `path`: lengths inside of the file, names of at most
  /// 4096 bytes, data that matches the shape; corrupt_data otherwise.
  /// Subgraphs are not entered; weights in other files are unsupported.
  explicit OnnxFile(const std::string& path);
  explicit OnnxFile(std::shared_ptr<const File> file);

  /// The graph's initializers, in the order of the file, without strings.
  const std::vector<TensorInfo>& tensors() const override {
    return tensors_;
  }
  const std::vector<OnnxNode>& nodes() const {
    return nodes_;
  }

  using TensorSource::read;
  void read(const TensorInfo& tensor, std::span<std::byte> out) const override;

 private:
  void read_graph(std::span<const std::byte> graph);
  void read_tensor(std::span<const std::byte> message);

  std::shared_ptr<const File> file_;
  std::vector<TensorInfo> tensors_;
  std::vector<std::span<const std::byte>> messages_; // one a tensor
  std::vector<OnnxNode> nodes_;
};

} // namespace mlx_audio::checkpoint
