#include "models/request_checks.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>

#include <nlohmann/json.hpp>

#include "mlx_audio/error.h"

namespace mlx_audio {

namespace {

constexpr double kShortest = 0.3; // seconds
constexpr double kLongest = 60;
constexpr float kSilence = 1e-3f; // peak: -60 dB

std::string seconds_text(double seconds) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.2f s", seconds);
  return text;
}

template <class T>
void check_range(
    const char* name,
    const std::optional<T>& value,
    T low,
    T high) {
  if (value && !(*value >= low && *value <= high)) {
    throw Error(
        ErrorKind::invalid_argument,
        std::string(name) + " " + nlohmann::json(*value).dump() +
            " is out of range",
        "give " + nlohmann::json(low).dump() + " to " +
            nlohmann::json(high).dump());
  }
}

} // namespace

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

void check_sampling(const SpeechSampling& s) {
  constexpr int most = 1 << 24;
  check_range("temperature", s.temperature, 0.0f, 10.0f);
  check_range("top_k", s.top_k, 0, most);
  check_range("top_p", s.top_p, 0.0f, 1.0f);
  check_range("min_p", s.min_p, 0.0f, 1.0f);
  check_range("repetition_penalty", s.repetition_penalty, 0.1f, 10.0f);
  check_range("max_tokens", s.max_tokens, 1, most);
  check_range("min_new_tokens", s.min_new_tokens, 0, most);
  check_range("subtalker_temperature", s.subtalker_temperature, 0.0f, 10.0f);
  check_range("subtalker_top_k", s.subtalker_top_k, 0, most);
  check_range("subtalker_top_p", s.subtalker_top_p, 0.0f, 1.0f);
}

std::vector<float> reference_samples(const Audio& audio, int rate) {
  double seconds = audio.seconds();
  if (seconds < kShortest) {
    throw Error(
        ErrorKind::invalid_argument,
        "the reference audio lasts " + seconds_text(seconds) +
            ", too short to take a voice from",
        "give 3 to 15 seconds of clean speech");
  }
  if (seconds > kLongest) {
    throw Error(
        ErrorKind::too_large,
        "the reference audio lasts " + seconds_text(seconds) +
            ", more than 60 s",
        "cut it to 3 to 15 seconds, and its text to what is said there");
  }
  Audio mono = audio.channels == 1 ? audio : mix_to_mono(audio);
  if (mono.sample_rate != rate) {
    mono = resample(mono, rate);
  }
  float peak = 0;
  for (float sample : mono.samples) {
    if (!std::isfinite(sample)) {
      throw Error(
          ErrorKind::invalid_argument,
          "the reference audio holds a sample that is no number");
    }
    peak = std::max(peak, std::abs(sample));
  }
  if (peak < kSilence) {
    throw Error(
        ErrorKind::invalid_argument,
        "the reference audio is silent",
        "give 3 to 15 seconds of clean speech");
  }
  return mono.samples;
}

} // namespace mlx_audio
