// What the layers of a model get to see, for quantizing them.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace mlx_audio::convert {

struct Calibration {
  /// The mean of x x^T over the inputs x of each linear layer [in, in], by
  /// path.
  std::map<std::string, std::vector<float>> moments;
  /// What the model was run on, for people, e.g. "16 sentences".
  std::string source;
};

/// Whether calibrate() can tell anything.
bool calibrates(
    const std::string& model_type,
    const std::vector<std::string>& recordings,
    const std::string& speaker);

/// Runs a converted, unquantized model: Kokoro says sentences that are built
/// in, Whisper hears `recordings` or, without any, the same sentences said by
/// the Kokoro in `speaker`.
Calibration calibrate(
    const std::string& model_type,
    const std::string& folder,
    const std::vector<std::string>& recordings,
    const std::string& speaker);

} // namespace mlx_audio::convert
