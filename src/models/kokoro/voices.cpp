#include "models/kokoro/voices.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>

#include "mlx_audio/error.h"
#include "nn/weights.h"
#include "text/nearest.h"

namespace mlx_audio::kokoro {

namespace {

namespace fs = std::filesystem;

float parse_weight(const std::string& text, const std::string& voice) {
  float weight = 0;
  auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), weight);
  if (error != std::errc() || end != text.data() + text.size() ||
      !std::isfinite(weight) || weight <= 0) {
    throw Error(
        ErrorKind::invalid_argument,
        "'" + text + "' in voice '" + voice + "' is no weight",
        "write a mix as af_heart:0.7+bf_emma:0.3");
  }
  return weight;
}

} // namespace

VoiceMix parse_voice_mix(const std::string& voice) {
  VoiceMix mix;
  size_t from = 0;
  while (from <= voice.size()) {
    size_t to = std::min(voice.find_first_of("+,", from), voice.size());
    std::string part = voice.substr(from, to - from);
    part.erase(0, part.find_first_not_of(' '));
    part.erase(part.find_last_not_of(' ') + 1);
    size_t colon = part.find(':');
    float weight = colon == std::string::npos
        ? 1.0f
        : parse_weight(part.substr(colon + 1), voice);
    std::string name = part.substr(0, colon);
    if (name.empty() || mix.size() >= 16) {
      throw Error(
          ErrorKind::invalid_argument,
          "'" + voice + "' is no voice",
          "give one voice, or a mix of up to 16 as af_heart:0.7+bf_emma:0.3");
    }
    mix.emplace_back(std::move(name), weight);
    from = to + 1;
  }
  float total = 0;
  for (const auto& [name, weight] : mix) {
    total += weight;
  }
  for (auto& [name, weight] : mix) {
    weight /= total;
  }
  return mix;
}

Voices::Voices(std::string folder, int width)
    : folder_(std::move(folder)), width_(width) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder_, ignored)) {
    if (entry.path().extension() == ".safetensors") {
      ids_.push_back(entry.path().stem().string());
    }
  }
  std::sort(ids_.begin(), ids_.end());
}

mx::array Voices::load(const std::string& id) {
  auto found = loaded_.find(id);
  if (found != loaded_.end()) {
    return found->second;
  }
  if (!std::binary_search(ids_.begin(), ids_.end(), id)) {
    std::string near = text::nearest_names(id, ids_);
    throw Error(
        ErrorKind::invalid_argument,
        "unknown voice '" + id + "'",
        near.empty() ? "`mlx-audio tts --list-voices` shows all of them"
                     : "did you mean " + near + "?");
  }
  auto weights =
      nn::Weights::load((fs::path(folder_) / (id + ".safetensors")).string());
  auto pack = mx::astype(weights.take("voice", {-1, 1, width_}), mx::float32);
  pack = mx::reshape(pack, {pack.shape(0), width_});
  mx::eval(pack);
  return loaded_.emplace(id, pack).first->second;
}

mx::array Voices::pack(const VoiceMix& mix) {
  auto sum = load(mix[0].first) * mx::array(mix[0].second);
  for (size_t i = 1; i < mix.size(); ++i) {
    auto next = load(mix[i].first);
    if (next.shape() != sum.shape()) {
      throw Error(
          ErrorKind::corrupt_data,
          "voice '" + mix[i].first + "' has another length than '" +
              mix[0].first + "'");
    }
    sum = sum + next * mx::array(mix[i].second);
  }
  return sum;
}

VoiceInfo Voices::describe(const std::string& id) {
  static const std::map<char, const char*> languages = {
      {'a', "en-us"},
      {'b', "en-gb"},
      {'e', "es"},
      {'f', "fr"},
      {'h', "hi"},
      {'i', "it"},
      {'j', "ja"},
      {'p', "pt-br"},
      {'z', "zh"}};
  VoiceInfo info{id, "", ""};
  // language letter, gender letter, underscore: af_heart
  if (id.size() > 3 && id[2] == '_') {
    auto language = languages.find(id[0]);
    info.language = language == languages.end() ? "" : language->second;
    info.gender = id[1] == 'f' ? "female" : id[1] == 'm' ? "male" : "";
  }
  return info;
}

} // namespace mlx_audio::kokoro
