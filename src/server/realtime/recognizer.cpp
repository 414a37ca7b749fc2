#include "server/realtime/recognizer.h"

#include <algorithm>
#include <map>

#include "hub/store.h"
#include "models/silero_vad/speech.h"

namespace mlx_audio::server {

namespace {

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& word : words) {
    out += (out.empty() ? "" : ", ") + word;
  }
  return out;
}

TranscriptionOptions options_of(const TranscriptionSettings& settings) {
  TranscriptionOptions options;
  options.language = settings.language;
  options.languages = settings.languages;
  options.initial_prompt = settings.prompt;
  options.hotwords = joined(settings.keywords);
  return options;
}

double step_of(const std::string& delay) {
  static const std::map<std::string, double> seconds = {
      {"minimal", 0.4},
      {"low", 0.7},
      {"medium", 1.0},
      {"high", 2.0},
      {"xhigh", 4.0}};
  auto found = seconds.find(delay);
  return found == seconds.end() ? 1.0 : found->second;
}

// Text while it is said.
class LiveUtterance : public Utterance {
 public:
  LiveUtterance(TranscriptionModel& model, const LiveOptions& options)
      : live_(model.listen(options)), step_(options.step) {}

  void feed(std::span<const float> samples) override {
    live_->feed(samples);
  }
  void finish() override {
    finished_ = true;
  }
  double step_seconds() const override {
    return step_;
  }
  std::string language() const override {
    return live_->language();
  }
  std::optional<Heard> step() override {
    if (closed_) {
      return {};
    }
    std::optional<LiveUpdate> update;
    if (finished_) {
      update = live_->close();
      closed_ = true;
    } else {
      update = live_->step();
    }
    if (!update) {
      return {};
    }
    Heard heard;
    for (const auto& word : update->words) {
      heard.text += word.text;
    }
    heard.words = std::move(update->words);
    heard.pending = std::move(update->pending);
    if (update->segment) {
      heard.segments.push_back(std::move(*update->segment));
    }
    return heard;
  }

 private:
  std::unique_ptr<LiveTranscription> live_;
  double step_;
  bool finished_ = false;
  bool closed_ = false;
};

// A whole recording, window by window.
class WholeUtterance : public Utterance {
 public:
  WholeUtterance(TranscriptionModel& model, TranscriptionOptions options)
      : model_(model), options_(std::move(options)) {
    sound_.sample_rate = kHearingRate;
  }

  void feed(std::span<const float> samples) override {
    sound_.samples.insert(sound_.samples.end(), samples.begin(), samples.end());
  }
  void finish() override {}
  double step_seconds() const override {
    return 1e9; // not before finish()
  }
  std::string language() const override {
    return stream_ ? stream_->language() : "";
  }
  std::optional<Heard> step() override {
    if (!stream_) {
      stream_ = model_.transcribe({.audio = &sound_, .options = options_});
    }
    auto segment = stream_->next();
    if (!segment) {
      return {};
    }
    Heard heard;
    heard.text = segment->text;
    heard.words = segment->words;
    heard.segments.push_back(std::move(*segment));
    return heard;
  }

 private:
  TranscriptionModel& model_;
  TranscriptionOptions options_;
  Audio sound_;
  std::unique_ptr<TranscriptionStream> stream_;
};

// One detector for all sessions, there while any session has it.
std::shared_ptr<const silero_vad::SileroVad> shared_vad() {
  static thread_local std::weak_ptr<const silero_vad::SileroVad> kept;
  auto vad = kept.lock();
  if (!vad) {
    auto folder = hub::find_local_model("silero-vad");
    if (folder.empty()) {
      throw Error(
          ErrorKind::not_found,
          "turn detection needs the model 'silero-vad', and it is not there",
          "run scripts/import-models, or set turn_detection to null");
    }
    vad = std::make_shared<const silero_vad::SileroVad>(folder);
    kept = vad;
  }
  return vad;
}

class ModelHearing : public Hearing {
 public:
  ModelHearing(TranscriptionModel& model, const Enhancer* enhancer)
      : model_(model), enhancer_(enhancer) {}

  std::unique_ptr<Utterance> utterance(
      const TranscriptionSettings& settings,
      bool live,
      bool word_probabilities) override {
    auto options = options_of(settings);
    if (live) {
      return std::make_unique<LiveUtterance>(
          model_,
          LiveOptions{
              .transcription = std::move(options),
              .step = step_of(settings.delay)});
    }
    options.word_timestamps = word_probabilities;
    return std::make_unique<WholeUtterance>(model_, std::move(options));
  }

  std::vector<float> speech(std::span<const float> samples) override {
    if (!vad_) {
      vad_ = shared_vad();
    }
    return vad_->process(samples, vad_state_);
  }

  void reset() override {
    vad_state_ = {};
    noise_.reset();
  }

  std::vector<float> clean(
      std::span<const float> samples,
      const NoiseReduction& how) override {
    if (!noise_) {
      if (enhancer_ == nullptr) {
        throw Error(
            ErrorKind::unavailable, "the enhancement model is not loaded");
      }
      noise_.emplace(enhancer_->session(
          kHearingRate,
          1,
          {.window_seconds = 2,
           .mix = static_cast<float>(1 - how.strength),
           .sample_rate = kHearingRate,
           .live = true,
           .hop_seconds = 0.8}));
    }
    noise_->feed(samples);
    return pull();
  }

  std::vector<float> clean_rest() override {
    std::vector<float> out;
    if (noise_) {
      noise_->close();
      out = pull();
      noise_.reset();
    }
    return out;
  }

 private:
  std::vector<float> pull() {
    std::vector<float> out;
    while (noise_->step(out)) {
    }
    return out;
  }

  TranscriptionModel& model_;
  const Enhancer* enhancer_;
  std::shared_ptr<const silero_vad::SileroVad> vad_;
  silero_vad::SileroVad::State vad_state_;
  std::optional<EnhancementSession> noise_;
};

} // namespace

std::unique_ptr<Hearing> make_hearing(
    TranscriptionModel& model,
    const Enhancer* enhancer) {
  return std::make_unique<ModelHearing>(model, enhancer);
}

} // namespace mlx_audio::server
