#include "server/names.h"

#include <algorithm>
#include <cstring>

namespace mlx_audio::server {

namespace {

constexpr const char* speech_names[] = {"tts-1", "gpt-4o-mini-tts"};
constexpr const char* transcription_names[] = {
    "whisper-1",
    "gpt-4o-transcribe",
    "gpt-4o-mini-transcribe",
    "gpt-transcribe",
    "gpt-realtime-whisper"};

// OpenAI's voices and those of Kokoro's that come nearest.
struct Twin {
  const char* name;
  const char* kokoro;
};
constexpr Twin twins[] = {
    {"alloy", "af_alloy"},
    {"ash", "am_michael"},
    {"ballad", "bm_george"},
    {"coral", "af_bella"},
    {"echo", "am_echo"},
    {"fable", "bm_fable"},
    {"onyx", "am_onyx"},
    {"nova", "af_nova"},
    {"sage", "af_sarah"},
    {"shimmer", "af_sky"},
    {"verse", "am_puck"},
    {"marin", "af_heart"},
    {"cedar", "am_fenrir"},
};

template <size_t n>
bool begins(const std::string& name, const char* const (&known)[n]) {
  return std::any_of(known, known + n, [&](const char* prefix) {
    return name.rfind(prefix, 0) == 0;
  });
}

bool has(const std::vector<VoiceInfo>& voices, const std::string& id) {
  return std::any_of(voices.begin(), voices.end(), [&](const VoiceInfo& v) {
    return v.id == id;
  });
}

} // namespace

std::string speech_model(const std::string& name, const ServerOptions& o) {
  return begins(name, speech_names) ? o.speech_model : name;
}

std::string transcription_model(
    const std::string& name,
    const ServerOptions& o) {
  return begins(name, transcription_names) ? o.transcription_model : name;
}

std::string model_voice(
    const std::string& name,
    const std::vector<VoiceInfo>& voices) {
  size_t place = 0;
  for (const auto& twin : twins) {
    if (name == twin.name) {
      if (has(voices, name)) {
        return name;
      }
      if (has(voices, twin.kokoro)) {
        return twin.kokoro;
      }
      return voices.empty() ? "" : voices[place % voices.size()].id;
    }
    ++place;
  }
  return name;
}

} // namespace mlx_audio::server
