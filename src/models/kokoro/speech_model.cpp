#include "models/kokoro/speech_model.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <random>

#include <nlohmann/json.hpp>

#include "mlx_audio/error.h"
#include "models/kokoro/network.h"
#include "models/kokoro/voices.h"
#include "models/kokoro/word_times.h"
#include "models/request_checks.h"
#include "nn/dtype.h"
#include "text/phonemizer.h"
#include "text/split.h"
#include "text/unicode.h"

namespace mlx_audio::kokoro {

namespace {

// What to say, checked and resolved.
struct Plan {
  std::unique_ptr<const std::string> text; // the chunks point into it
  std::unique_ptr<text::ChunkStream> chunks;
  mx::array pack; // [rows, style width]
  float speed;
  uint64_t seed;
};

class Stream : public SpeechStream {
 public:
  Stream(const Network& network, Plan plan)
      : network_(network),
        plan_(std::move(plan)),
        upcoming_(plan_.chunks->next()) {}

  std::optional<SpeechChunk> next() override {
    if (!upcoming_) {
      return std::nullopt;
    }
    text::TextChunk current = std::move(*upcoming_);
    upcoming_ = plan_.chunks->next();
    SpeechChunk chunk = speak(current, !upcoming_);
    seconds_ += static_cast<double>(chunk.samples.size()) / chunk.sample_rate;
    return chunk;
  }

  void stop() override {
    upcoming_.reset();
  }

 private:
  SpeechChunk speak(const text::TextChunk& current, bool last) {
    const Config& config = network_.config();
    SpeechChunk chunk;
    chunk.sample_rate = config.sample_rate;
    chunk.text_begin = current.begin;
    chunk.text_end = current.end;
    chunk.phonemes = current.phonemes;
    auto ids = phoneme_ids(current.tokens, config.vocab);
    if (ids.ids.size() > 2) {
      auto result = network_(
          ids.ids,
          style(text::count_code_points(current.phonemes)),
          plan_.speed,
          plan_.seed + index_++);
      mx::eval(result.samples);
      const float* samples = result.samples.data<float>();
      chunk.samples.assign(samples, samples + result.samples.size());
      double frame =
          static_cast<double>(config.samples_per_frame()) / config.sample_rate;
      chunk.words =
          word_times(current.tokens, ids, result.durations, frame, seconds_);
    }
    if (last) {
      chunk.finish_reason = FinishReason::stop;
    } else {
      auto pause = static_cast<size_t>(
          current.pause_after / plan_.speed * config.sample_rate);
      chunk.samples.resize(chunk.samples.size() + pause, 0.0f);
    }
    return chunk;
  }

  // The voice's row for a text of `phonemes` phonemes. [1, style width]
  mx::array style(size_t phonemes) const {
    int rows = plan_.pack.shape(0);
    int row = std::clamp(static_cast<int>(phonemes) - 1, 0, rows - 1);
    return mx::slice(plan_.pack, {row, 0}, {row + 1, plan_.pack.shape(1)});
  }

  const Network& network_;
  Plan plan_;
  std::optional<text::TextChunk> upcoming_;
  uint64_t index_ = 0;
  double seconds_ = 0; // spoken so far
};

class Model : public SpeechModel {
 public:
  Model(const std::string& folder, const LoadOptions& options)
      : network_(Network::load(folder, nn::parse_dtype(options.dtype))),
        voices_(
            (std::filesystem::path(folder) / "voices").string(),
            network_->config().style_width()) {
    info_.architecture = "kokoro";
    info_.path = folder;
    info_.sample_rate = network_->config().sample_rate;
    info_.default_voice = "af_heart";
    info_.languages = {
        "en-us", "en-gb", "es", "fr", "hi", "it", "pt-br", "ja", "zh"};
    info_.weight_bytes = network_->weight_bytes();
  }

  const SpeechModelInfo& info() const override {
    return info_;
  }

  std::vector<VoiceInfo> voices() const override {
    std::vector<VoiceInfo> list;
    for (const auto& id : voices_.ids()) {
      list.push_back(Voices::describe(id));
    }
    return list;
  }

  std::unique_ptr<SpeechStream> synthesize(
      const SpeechRequest& request) override {
    return std::make_unique<Stream>(*network_, check(request));
  }

  std::string phonemes(const SpeechRequest& request) override {
    auto chunks = split(request.text, request);
    std::string lines;
    while (auto chunk = chunks->next()) {
      lines += chunk->phonemes + "\n";
    }
    return lines;
  }

 private:
  // The request's voice, or the language's first.
  std::string voice(const SpeechRequest& request) const {
    if (!request.voice.empty()) {
      return request.voice;
    }
    if (request.language.empty()) {
      return info_.default_voice;
    }
    std::string wanted =
        text::to_string(text::parse_language(request.language));
    const auto& ids = voices_.ids();
    if (wanted == "en-us" &&
        std::binary_search(ids.begin(), ids.end(), info_.default_voice)) {
      return info_.default_voice;
    }
    for (const auto& id : ids) {
      if (Voices::describe(id).language == wanted) {
        return id;
      }
    }
    throw Error(
        ErrorKind::invalid_argument,
        "this Kokoro model has no voice for language '" + wanted + "'",
        "choose a voice of another language");
  }

  text::Language language(const SpeechRequest& request) const {
    if (!request.language.empty()) {
      return text::parse_language(request.language);
    }
    std::string of_voice =
        Voices::describe(parse_voice_mix(voice(request))[0].first).language;
    return text::parse_language(of_voice.empty() ? "en-us" : of_voice);
  }

  Plan check(const SpeechRequest& request) {
    refuse_language_model_fields(request, "Kokoro");
    check_speed(request.speed);
    auto kept = std::make_unique<const std::string>(request.text);
    auto chunks = split(*kept, request);
    return {
        std::move(kept),
        std::move(chunks),
        voices_.pack(parse_voice_mix(voice(request))),
        request.speed,
        request.seed ? *request.seed : std::random_device()()};
  }

  // `kept_text` is the request's text in the stream's keeping.
  std::unique_ptr<text::ChunkStream> split(
      const std::string& kept_text,
      const SpeechRequest& request) {
    text::Language language = this->language(request);
    text::SplitOptions options;
    // Very slow speech goes in smaller pieces, so that none takes longer to
    // make than at half the rate.
    double share = std::clamp(2.0 * request.speed, 0.5, 1.0);
    options.max_phonemes =
        static_cast<size_t>(share * network_->config().max_phonemes());
    options.target_phonemes = static_cast<size_t>(
        share * static_cast<double>(options.target_phonemes));
    // About a second of speech, where it is wanted early.
    options.first_chunk_phonemes = request.low_latency ? 16 : 0;
    auto& phonemizer = phonemizers_[{language, request.phonemes}];
    if (!phonemizer) {
      phonemizer = request.phonemes ? text::make_phoneme_reader(language)
                                    : text::make_phonemizer(language);
    }
    return std::make_unique<text::ChunkStream>(kept_text, *phonemizer, options);
  }

  std::unique_ptr<Network> network_;
  Voices voices_;
  SpeechModelInfo info_;
  // By language, and whether the text is phonemes already.
  std::map<std::pair<text::Language, bool>, std::unique_ptr<text::Phonemizer>>
      phonemizers_;
};

} // namespace

bool matches(const nlohmann::json& config) {
  return config.contains("plbert") && config.contains("istftnet");
}

std::vector<std::string> features(const nlohmann::json& /* config */) {
  return {"voices", "voice_mix", "speed", "languages", "word_timestamps"};
}

std::unique_ptr<SpeechModel> load_speech_model(
    const std::string& folder,
    const LoadOptions& options) {
  return std::make_unique<Model>(folder, options);
}

} // namespace mlx_audio::kokoro
