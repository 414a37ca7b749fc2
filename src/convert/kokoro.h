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

/// A voice pack, "voice" float32 [510, 1, 256], out of a file of raw float32.
checkpoint::LazyTensor kokoro_voice_from_raw(const std::string& path);

} // namespace mlx_audio::convert
