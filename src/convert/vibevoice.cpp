#include "convert/vibevoice.h"

#include <algorithm>
#include <set>

#include "mlx_audio/error.h"
#include "models/vibevoice_asr/weight_names.h"

namespace mlx_audio::convert {

using checkpoint::LazyTensor;

std::vector<LazyTensor> vibevoice_to_mlx(std::vector<LazyTensor> tensors) {
  // Only the original's names begin so; its convolutions are channels first.
  bool original =
      std::any_of(tensors.begin(), tensors.end(), [](const LazyTensor& tensor) {
        return tensor.name.rfind("model.", 0) == 0;
      });
  std::vector<LazyTensor> out;
  std::set<std::string> names;
  for (auto& tensor : tensors) {
    auto name = vibevoice_asr::canonical_name(tensor.name);
    if (name.empty()) {
      continue;
    }
    if (!names.insert(name).second) {
      throw Error(
          ErrorKind::corrupt_data,
          "the checkpoint has the tensor '" + name + "' twice");
    }
    tensor.name = name;
    bool channels_first = original && tensor.shape.size() == 3 &&
        name.find("conv") != std::string::npos;
    out.push_back(
        channels_first ? checkpoint::transpose(std::move(tensor), {0, 2, 1})
                       : std::move(tensor));
  }
  return out;
}

} // namespace mlx_audio::convert
