#include "models/qwen3_tts/speech_model.h"

#include <map>
#include <random>

#include <nlohmann/json.hpp>

#include "checkpoint/json.h"
#include "mlx_audio/error.h"
#include "models/qwen3_tts/speech_stream.h"
#include "models/request_checks.h"
#include "nn/dtype.h"
#include "text/unicode.h"

namespace mlx_audio::qwen3_tts {

namespace {

// A text of more tokens (about a minute) is spoken in pieces of up to 120.
constexpr int kWholeTokens = 240;
constexpr int kPieceTokens = 120;

std::string lower(const std::string& name) {
  return text::to_utf8(text::to_lower(text::to_u32(name)));
}

// The model's name of a language given as a name or as an ISO 639-1 code.
std::string language_name(const std::string& language) {
  static const std::map<std::string, std::string> names = {
      {"", "auto"},
      {"zh", "chinese"},
      {"en", "english"},
      {"de", "german"},
      {"it", "italian"},
      {"pt", "portuguese"},
      {"es", "spanish"},
      {"ja", "japanese"},
      {"ko", "korean"},
      {"fr", "french"},
      {"ru", "russian"}};
  std::string name = lower(language);
  auto found = names.find(name);
  if (found == names.end() && name.size() == 5 && name[2] == '-') {
    found = names.find(name.substr(0, 2)); // en-us
  }
  return found == names.end() ? name : found->second;
}

Settings settings_of(const SpeechSampling& s, const GenerationConfig& g) {
  check_sampling(s);
  Settings settings;
  settings.talker = {
      .temperature = s.temperature.value_or(g.do_sample ? g.temperature : 0),
      .top_k = s.top_k.value_or(g.top_k),
      .top_p = s.top_p.value_or(g.top_p),
      .min_p = s.min_p.value_or(0.0f),
      .repetition_penalty =
          s.repetition_penalty.value_or(g.repetition_penalty)};
  bool greedy = s.temperature && *s.temperature == 0;
  settings.subtalker = {
      .temperature = s.subtalker_temperature.value_or(
          g.subtalker_do_sample && !greedy ? g.subtalker_temperature : 0),
      .top_k = s.subtalker_top_k.value_or(g.subtalker_top_k),
      .top_p = s.subtalker_top_p.value_or(g.subtalker_top_p)};
  settings.max_frames = s.max_tokens.value_or(g.max_new_tokens);
  settings.min_frames = s.min_new_tokens.value_or(2);
  return settings;
}

class Model : public SpeechModel {
 public:
  Model(const std::string& folder, const LoadOptions& options)
      : network_(Network::load(folder, nn::parse_dtype(options.dtype))),
        ids_(folder, network_->config),
        voices_(*network_, ids_),
        loop_(
            std::make_shared<FrameLoop<Generator>>(
                network_->talker,
                network_->config)) {
    info_.architecture = "qwen3_tts";
    info_.path = folder;
    info_.sample_rate = 24000;
    for (const auto& [name, code] : network_->config.languages) {
      info_.languages.push_back(name);
    }
    info_.weight_bytes = network_->weight_bytes;
  }

  const SpeechModelInfo& info() const override {
    return info_;
  }

  std::vector<VoiceInfo> voices() const override {
    std::vector<VoiceInfo> list;
    for (const auto& [name, code] : network_->config.speakers) {
      auto dialect = network_->config.dialects.find(name);
      list.push_back(
          {.id = name,
           .language = dialect == network_->config.dialects.end()
               ? ""
               : dialect->second,
           .gender = ""});
    }
    return list;
  }

  std::unique_ptr<SpeechStream> synthesize(
      const SpeechRequest& request) override {
    return std::make_unique<Stream>(*network_, ids_, loop_, check(request));
  }

  std::string phonemes(const SpeechRequest& /* request */) override {
    throw Error(
        ErrorKind::unsupported,
        "Qwen3-TTS reads text, not phonemes",
        "phonemes are Kokoro's");
  }

 private:
  [[noreturn]] void refuse(
      ErrorKind kind,
      const std::string& what,
      const std::string& hint) const {
    throw Error(
        kind,
        std::string("this is a ") + to_string(network_->config.kind) +
            " model: " + what,
        hint);
  }

  std::string preset_voice(const SpeechRequest& request) const {
    const auto& speakers = network_->config.speakers;
    std::string known;
    for (const auto& [name, code] : speakers) {
      known += (known.empty() ? "voices: " : ", ") + name;
    }
    if (request.voice.empty()) {
      refuse(ErrorKind::invalid_argument, "it needs a voice", known);
    }
    std::string name = lower(request.voice);
    if (speakers.count(name) == 0) {
      throw Error(
          ErrorKind::invalid_argument,
          "the model has no voice '" + request.voice + "'",
          known);
    }
    return name;
  }

  // What each kind of model needs and cannot take.
  void check_kind(const SpeechRequest& request, Plan& plan) {
    Kind kind = network_->config.kind;
    if (kind != Kind::base && request.reference) {
      refuse(
          ErrorKind::unsupported,
          "it cannot imitate a recording",
          "use a Base checkpoint");
    }
    if (kind == Kind::custom_voice) {
      plan.speaker = preset_voice(request);
    } else if (!request.voice.empty()) {
      refuse(
          ErrorKind::invalid_argument,
          "it has no preset voices, so no '" + request.voice + "'",
          kind == Kind::base ? "give a recording of the voice (--ref-audio)"
                             : "describe the voice (--instruct)");
    }
    if (kind == Kind::base) {
      if (!request.instruct.empty()) {
        refuse(
            ErrorKind::unsupported,
            "it follows no instructions",
            "use a CustomVoice or VoiceDesign checkpoint");
      }
      if (!request.reference || request.reference->audio.samples.empty()) {
        refuse(
            ErrorKind::invalid_argument,
            "it needs a recording of the voice to speak with",
            "give one (--ref-audio) and its text (--ref-text)");
      }
      text::check_text(request.reference->text);
      plan.voice = voices_.get(*request.reference);
    }
    if (kind == Kind::voice_design && request.instruct.empty()) {
      refuse(
          ErrorKind::invalid_argument,
          "it needs a description of the voice",
          "give one (--instruct)");
    }
    if (!request.instruct.empty()) {
      if (kind == Kind::custom_voice && network_->config.small) {
        plan.warning = "the 0.6B CustomVoice model follows no instructions; '" +
            request.instruct.substr(0, 60) + "' has no effect";
      } else {
        text::check_text(request.instruct);
        plan.instruct_ids = ids_.instruction(request.instruct);
      }
    }
  }

  Plan check(const SpeechRequest& request) {
    check_speed(request.speed);
    if (request.speed != 1.0f) {
      throw Error(
          ErrorKind::unsupported,
          "Qwen3-TTS has no rate of speech to set (speed " +
              nlohmann::json(request.speed).dump() + ")",
          "ask for it in the instruction: \"speak slowly\"");
    }
    if (request.phonemes) {
      throw Error(ErrorKind::unsupported, "Qwen3-TTS reads text, not phonemes");
    }
    text::check_text(request.text);
    Plan plan;
    plan.text = request.text;
    plan.pieces = split_pieces(
        plan.text,
        [this](std::string_view text) { return ids_.count(text); },
        kWholeTokens,
        kPieceTokens);
    if (plan.pieces.empty()) {
      throw Error(
          ErrorKind::invalid_argument,
          "there is nothing to say: the text is empty",
          "give some words");
    }
    plan.settings = settings_of(request.sampling, network_->generation);
    plan.settings.seed = request.seed ? *request.seed : std::random_device()();
    plan.limited = request.sampling.max_tokens.has_value();
    plan.low_latency = request.low_latency;
    plan.whole_text_first = request.non_streaming_mode.value_or(
        network_->config.kind != Kind::base);
    plan.language = language_name(request.language);
    check_kind(request, plan);
    language_code(network_->config, plan.language, plan.speaker);
    return plan;
  }

  std::unique_ptr<Network> network_;
  TextIds ids_;
  Voices voices_;
  std::shared_ptr<FrameLoop<Generator>> loop_;
  SpeechModelInfo info_;
};

} // namespace

bool matches(const nlohmann::json& config) {
  return checkpoint::is_model_type(config, "qwen3_tts");
}

std::vector<std::string> features(const nlohmann::json& config) {
  std::vector<std::string> features = {"languages", "sampling"};
  std::string kind = config.value("tts_model_type", "base");
  if (kind == "base") {
    features.emplace_back("reference");
  } else {
    features.emplace_back("instructions");
  }
  if (kind == "custom_voice") {
    features.emplace_back("voices");
  }
  return features;
}

std::unique_ptr<SpeechModel> load_speech_model(
    const std::string& folder,
    const LoadOptions& options) {
  return std::make_unique<Model>(folder, options);
}

} // namespace mlx_audio::qwen3_tts
