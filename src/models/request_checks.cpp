#include "models/request_checks.h"

#include <string>

#include <nlohmann/json.hpp>

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

void check_speed(float speed) {
  auto number = [](float value) { return nlohmann::json(value).dump(); };
  if (!(speed >= min_speed && speed <= max_speed)) {
    throw Error(
        ErrorKind::invalid_argument,
        "speed " + number(speed) + " is out of range",
        "give " + number(min_speed) + " to " + number(max_speed));
  }
}

} // namespace mlx_audio
