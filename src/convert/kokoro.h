// Kokoro-82M checkpoints out of other forms than mlx-community's.
#pragma once

#include <memory>
#include <vector>

#include "checkpoint/lazy_tensor.h"
#include "checkpoint/onnx.h"

namespace mlx_audio::convert {

/// The 548 tensors of Kokoro v1.0 under upstream's names, float32, out of the
/// int8 ONNX export with the inputs tokens, style and speed. Weights are
/// dequantized, LSTM gates put into torch's order, the folded weight norm split
/// again. corrupt_data if the export lacks something.
std::vector<checkpoint::LazyTensor> kokoro_from_onnx(
    const std::shared_ptr<const checkpoint::OnnxFile>& onnx);

/// Upstream's names out of kokoro-v1_0.pth, which keeps a "module." in each.
std::vector<checkpoint::LazyTensor> kokoro_from_torch(
    std::vector<checkpoint::LazyTensor> tensors);

/// mlx-audio keeps unquantized checkpoints in upstream's layout and quantized
/// ones in that of its own modules: channels last, Wx_forward for weight_ih_l0.
/// Tensors that have the wanted layout already come back as they are.
std::vector<checkpoint::LazyTensor> kokoro_layout(
    std::vector<checkpoint::LazyTensor> tensors,
    bool to_mlx);
bool is_kokoro_mlx_layout(const std::vector<checkpoint::LazyTensor>& tensors);

/// A voice pack, "voice" float32 [510, 1, 256], out of a file of raw float32 or
/// out of upstream's voices/NAME.pt.
checkpoint::LazyTensor kokoro_voice_from_raw(const std::string& path);
checkpoint::LazyTensor kokoro_voice_from_torch(const std::string& path);

} // namespace mlx_audio::convert
