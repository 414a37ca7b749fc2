// A model's name to a model: where the hub's knowledge of places and the
// registry's of architectures meet.
#include "hub/store.h"
#include "kernels/cpu_op.h"
#include "mlx_audio/speech.h"
#include "models/registry.h"

namespace mlx_audio {

std::unique_ptr<SpeechModel> load_speech_model(
    const std::string& model,
    const LoadOptions& options /* = {} */) {
  std::string folder = hub::resolve_model(model, options.revision);
  kernels::keep_freed_memory();
  return models::find_architecture(folder, ModelTask::speech)
      .load_speech(folder, options);
}

const char* to_string(FinishReason reason) {
  switch (reason) {
    case FinishReason::stop:
      return "stop";
    case FinishReason::length:
      return "length";
    case FinishReason::cancelled:
      break;
  }
  return "cancelled";
}

} // namespace mlx_audio
