#include "models/request_checks.h"

#include <string>

#include "mlx_audio/error.h"

namespace mlx_audio {

void refuse_language_model_fields(
    const SpeechRequest& request,
    const char* model) {
  const char* what = !request.instruct.empty()  ? "instructions"
      : request.reference                       ? "reference audio"
      : !(request.sampling == SpeechSampling{}) ? "sampling settings"
      : request.non_streaming_mode              ? "non_streaming_mode"
                                                : nullptr;
  if (what != nullptr) {
    throw Error(
        ErrorKind::unsupported,
        std::string(model) + " takes no " + what,
        "leave them out, or use a model such as Qwen3-TTS");
  }
}

} // namespace mlx_audio
