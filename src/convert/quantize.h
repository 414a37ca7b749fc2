// Which layers of a checkpoint are quantized, how, and the quantizing itself:
// by MLX, so that the bits are those of mx.quantize.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/lazy_tensor.h"
#include "convert/calibrate.h"

namespace mlx_audio::convert {

/// How one layer is packed.
struct Packing {
  int bits = 4; ///< affine: 2, 3, 4, 5, 6 or 8; mxfp4, nvfp4: 4; mxfp8: 8
  int group_size = 64; ///< affine: 32, 64 or 128; mxfp*: 32; nvfp4: 16
  std::string mode = "affine";

  bool operator==(const Packing&) const = default;
};

struct QuantizeOptions {
  std::optional<int> bits; ///< empty: the mode's own
  std::optional<int> group_size; ///< empty: the mode's own
  std::string mode = "affine"; ///< affine, mxfp4, nvfp4 or mxfp8
  std::string recipe; ///< mixed_2_6, mixed_3_4, mixed_3_6, mixed_4_6 or empty
  /// Fit codes, scales and biases by least squares (affine): to outputs of the
  /// layers that are in `calibration`, to the weights of others.
  bool refit = false;
  Calibration calibration = {};
};

/// The packing that the options ask for; invalid_argument if MLX has none such.
Packing packing_of(const QuantizeOptions& options);

/// One tensor in the plan of a conversion and, later, what came of it.
struct LayerReport {
  std::string name; ///< the layer's path, or the tensor's name if left alone
  checkpoint::Shape shape;
  std::optional<Packing> packing; ///< empty: not quantized
  uint64_t bytes_before = 0;
  uint64_t bytes_after = 0;
  /// ||w - w'|| / ||w|| and max |w - w'|; -1 until the layer is written.
  double relative_error = -1;
  double max_error = -1;
};

/// Whether the rules of a model let a layer be quantized: the reference's where
/// it has some, and no codec, speaker encoder or codebook for other models.
bool may_quantize(const std::string& model_type, const std::string& path);

/// Bits of each path under a mixed recipe: `high` for value and down
/// projections of the first and last eighth of a stack of layers and every
/// third between, and for output heads; `low` otherwise.
std::vector<int>
mixed_bits(const std::vector<std::string>& paths, int low, int high);

/// Replaces each "X.weight" that is quantized by X.weight, X.scales and
/// (affine) X.biases, computed when loaded. The report lists all tensors; it is
/// filled while they are written and must outlive that.
std::vector<checkpoint::LazyTensor> quantize(
    std::vector<checkpoint::LazyTensor> tensors,
    const std::string& model_type,
    const QuantizeOptions& options,
    const std::shared_ptr<std::vector<LayerReport>>& report);

/// The inverse: packed layers become float ones of the type of their scales.
/// `packing` gives the packing of a path.
std::vector<checkpoint::LazyTensor> dequantize(
    std::vector<checkpoint::LazyTensor> tensors,
    const std::function<Packing(const std::string& path)>& packing);

} // namespace mlx_audio::convert
