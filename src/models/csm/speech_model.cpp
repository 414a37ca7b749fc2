#include "models/csm/speech_model.h"

#include <algorithm>
#include <random>

#include <nlohmann/json.hpp>

#include "checkpoint/json.h"
#include "mlx_audio/error.h"
#include "models/csm/speech_stream.h"
#include "models/request_checks.h"
#include "nn/dtype.h"
#include "text/unicode.h"

namespace mlx_audio::csm {

namespace {

// A text of more tokens (about half a minute) is spoken in pieces of up to 100.
constexpr int kWholeTokens = 150;
constexpr int kPieceTokens = 100;

Settings settings_of(const SpeechSampling& s, const GenerationConfig& g) {
  check_sampling(s);
  Settings settings;
  settings.first = {
      .temperature = s.temperature.value_or(g.do_sample ? g.temperature : 0),
      .top_k = s.top_k.value_or(g.top_k),
      .top_p = s.top_p.value_or(1.0f),
      .min_p = s.min_p.value_or(0.0f),
      .repetition_penalty = s.repetition_penalty.value_or(1.0f)};
  // One setting is for all codes, as in the original, unless the codes after
  // the first are given their own.
  settings.others = {
      .temperature = s.subtalker_temperature.value_or(
          s.temperature.value_or(g.depth_do_sample ? g.depth_temperature : 0)),
      .top_k = s.subtalker_top_k.value_or(s.top_k.value_or(g.depth_top_k)),
      .top_p = s.subtalker_top_p.value_or(settings.first.top_p),
      .min_p = settings.first.min_p};
  settings.max_frames = s.max_tokens.value_or(settings.max_frames);
  settings.min_frames = s.min_new_tokens.value_or(settings.min_frames);
  return settings;
}

// The number of a speaker, as a voice is called that is only that.
std::optional<int> speaker_number(const std::string& voice) {
  bool number = !voice.empty() && voice.size() <= 3 &&
      std::all_of(voice.begin(), voice.end(), [](char c) {
        return c >= '0' && c <= '9';
      });
  return number ? std::optional(std::stoi(voice)) : std::nullopt;
}

void refuse_what_it_cannot(const SpeechRequest& request) {
  check_speed(request.speed);
  std::string language =
      text::to_utf8(text::to_lower(text::to_u32(request.language)));
  const char* what = request.speed != 1.0f ? "rate of speech to set"
      : request.phonemes                   ? "phonemes: it reads text"
      : !request.instruct.empty()          ? "instructions"
      : request.non_streaming_mode         ? "non_streaming_mode"
      : request.reference && request.reference->x_vector_only
      ? "voice from timbre alone: it needs the recording's text"
      : !language.empty() && language != "auto" && language != "english" &&
          !language.starts_with("en")
      ? "languages to choose from: it speaks what the text is written in"
      : nullptr;
  if (what != nullptr) {
    throw Error(
        ErrorKind::unsupported,
        std::string("CSM has no ") + what,
        "leave it out");
  }
}

class Model : public SpeechModel {
 public:
  Model(const std::string& folder, const LoadOptions& options)
      : network_(Network::load(folder, nn::parse_dtype(options.dtype))),
        ids_(folder, network_->config),
        voices_(*network_, folder),
        loop_(
            std::make_shared<FrameLoop<Generator>>(
                network_->talker,
                network_->config)) {
    info_.architecture = "csm";
    info_.path = folder;
    info_.sample_rate = 24000;
    if (network_->config.use_default_voice) {
      info_.default_voice = voices_.default_name();
    }
    info_.weight_bytes = network_->weight_bytes;
  }

  const SpeechModelInfo& info() const override {
    return info_;
  }

  std::vector<VoiceInfo> voices() const override {
    std::vector<VoiceInfo> list;
    for (const auto& name : voices_.names()) {
      list.push_back({.id = name, .language = "", .gender = ""});
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
        "CSM reads text, not phonemes",
        "phonemes are Kokoro's");
  }

 private:
  std::shared_ptr<const Voice> voice_of(
      const SpeechRequest& request,
      bool only_number) {
    if (request.reference) {
      if (!request.voice.empty() && !only_number) {
        throw Error(
            ErrorKind::invalid_argument,
            "a recording and the voice '" + request.voice + "' were both given",
            "give one of them; a voice that is a number is the speaker's");
      }
      text::check_text(request.reference->text);
      return voices_.get(*request.reference);
    }
    if (only_number) {
      return nullptr;
    }
    if (!request.voice.empty()) {
      return voices_.built_in(request.voice);
    }
    if (!network_->config.use_default_voice) {
      return nullptr;
    }
    if (info_.default_voice.empty()) {
      throw Error(
          ErrorKind::invalid_argument,
          "the checkpoint has no default voice (prompts/conversational_a.wav)",
          "give a recording (--ref-audio) and its text (--ref-text), or "
          "--voice 0 for one that the model makes up");
    }
    return voices_.built_in(info_.default_voice);
  }

  Plan check(const SpeechRequest& request) {
    refuse_what_it_cannot(request);
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
    auto number = speaker_number(request.voice);
    plan.speaker = number.value_or(0);
    plan.voice = voice_of(request, number.has_value());
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
  return checkpoint::is_model_type(config, "csm") ||
      checkpoint::is_model_type(config, "sesame") ||
      (config.contains("backbone_flavor") && config.contains("decoder_flavor"));
}

std::vector<std::string> features(const nlohmann::json& /* config */) {
  return {"sampling", "reference", "voices"};
}

std::unique_ptr<SpeechModel> load_speech_model(
    const std::string& folder,
    const LoadOptions& options) {
  return std::make_unique<Model>(folder, options);
}

} // namespace mlx_audio::csm
