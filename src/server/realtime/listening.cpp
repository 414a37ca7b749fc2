#include "server/realtime/listening.h"

#include <algorithm>

#include "server/realtime/random_id.h"

namespace mlx_audio::server {

namespace {

constexpr size_t kChunk = 512; // samples of a decision
// Behind by more than a step, this much is heard at once.
constexpr int64_t kMostFresh = 5 * kHearingRate;
constexpr size_t kLeastCommit = kHearingRate / 10; // OpenAI's 100 ms

void keep_last(std::vector<float>& samples, size_t count) {
  if (samples.size() > count) {
    samples.erase(
        samples.begin(), samples.end() - static_cast<std::ptrdiff_t>(count));
  }
}

} // namespace

Listening::Listening(Hearing& hearing, std::function<void(ListenEvent&&)> emit)
    : hearing_(hearing),
      emit_(std::move(emit)),
      config_(std::make_shared<SessionConfig>()) {}

ListenEvent Listening::about(ListenEvent::Kind kind) const {
  ListenEvent event;
  event.kind = kind;
  event.item_id = item_id_;
  return event;
}

int64_t Listening::milliseconds(int64_t samples) const {
  return samples * 1000 / kHearingRate;
}

bool Listening::full() const {
  return finishing_ || fresh_ >= kMostFresh;
}

bool Listening::ready() const {
  return utterance_ &&
      (finishing_ ||
       static_cast<double>(fresh_) / kHearingRate >=
           utterance_->step_seconds());
}

void Listening::apply(ListenCommand command) {
  switch (command.kind) {
    case ListenCommand::Kind::configure:
      configure(std::move(command.config));
      break;
    case ListenCommand::Kind::audio:
      take_audio(std::move(command.samples));
      break;
    case ListenCommand::Kind::commit:
      commit(command.event_id);
      break;
    case ListenCommand::Kind::clear:
      clear();
      break;
  }
}

// A turn that is open goes on as it began; what is buffered for a commit is cut
// into turns if these are detected from now on.
void Listening::configure(std::shared_ptr<const SessionConfig> config) {
  if (config_->noise_reduction && !config->noise_reduction) {
    take_clean(hearing_.clean_rest());
  }
  bool detected = config_->turn_detection.has_value();
  config_ = std::move(config);
  if (detected && !config_->turn_detection) {
    auto rest = std::move(sound_);
    sound_.clear();
    hearing_.reset();
    take_clean(rest);
  }
  if (config_->turn_detection && !buffer_.empty()) {
    auto buffered = std::move(buffer_);
    buffer_.clear();
    position_ -= static_cast<int64_t>(buffered.size());
    take_clean(buffered);
  }
}

void Listening::take_audio(std::vector<float> samples) {
  if (config_->noise_reduction) {
    samples = hearing_.clean(samples, *config_->noise_reduction);
  }
  take_clean(samples);
}

void Listening::take_clean(std::span<const float> samples) {
  if (config_->turn_detection) {
    auto probabilities = hearing_.speech(samples);
    probabilities_.insert(
        probabilities_.end(), probabilities.begin(), probabilities.end());
    sound_.insert(sound_.end(), samples.begin(), samples.end());
    advance();
    return;
  }
  position_ += static_cast<int64_t>(samples.size());
  if (in_turn_) {
    feed(samples);
    return;
  }
  buffer_.insert(buffer_.end(), samples.begin(), samples.end());
  if (buffer_.size() > static_cast<size_t>(max_buffer * kHearingRate)) {
    buffer_ = {};
    ListenEvent event;
    event.error = ApiError(
        400,
        "the audio buffer held more than 300 s and was dropped: commit before",
        "",
        "input_audio_buffer_full");
    emit_(std::move(event));
  }
}

// Decides chunk by chunk, up to the end of a turn.
void Listening::advance() {
  size_t used = 0;
  while (!probabilities_.empty() && !finishing_) {
    float probability = probabilities_.front();
    probabilities_.pop_front();
    std::span<const float> samples(sound_.data() + used, kChunk);
    used += kChunk;
    position_ += static_cast<int64_t>(kChunk);
    chunk(probability, samples);
  }
  sound_.erase(
      sound_.begin(), sound_.begin() + static_cast<std::ptrdiff_t>(used));
}

void Listening::chunk(float probability, std::span<const float> samples) {
  const auto turns = config_->turn_detection.value_or(TurnDetection());
  auto kept =
      static_cast<size_t>(turns.prefix_padding_ms) * kHearingRate / 1000;
  if (!in_turn_) {
    if (probability < turns.threshold) {
      before_.insert(before_.end(), samples.begin(), samples.end());
      keep_last(before_, kept);
      return;
    }
    begin_turn();
  }
  feed(samples);
  if (probability >= turns.threshold) {
    silence_begin_ = -1;
  } else if (
      silence_begin_ < 0 &&
      probability < std::max(turns.threshold - 0.15, 0.01)) {
    silence_begin_ = position_ - static_cast<int64_t>(kChunk);
  }
  auto silence =
      static_cast<int64_t>(turns.silence_duration_ms) * kHearingRate / 1000;
  bool quiet = silence_begin_ >= 0 && position_ - silence_begin_ >= silence;
  bool long_enough = turns.max_turn_seconds > 0 &&
      static_cast<double>(turn_samples_) >=
          turns.max_turn_seconds * kHearingRate;
  if (quiet || long_enough) {
    end_turn(position_);
  }
}

void Listening::begin_turn() {
  new_item();
  in_turn_ = true;
  silence_begin_ = -1;
  turn_begin_ = position_ - static_cast<int64_t>(kChunk + before_.size());
  auto event = about(ListenEvent::Kind::speech_started);
  event.milliseconds = milliseconds(std::max<int64_t>(turn_begin_, 0));
  emit_(std::move(event));
  start(/* live */ true);
  feed(before_);
  before_.clear();
}

void Listening::end_turn(int64_t end) {
  auto event = about(ListenEvent::Kind::speech_stopped);
  event.milliseconds = milliseconds(end);
  emit_(std::move(event));
  commit_item();
  finish();
}

void Listening::new_item() {
  item_id_ = random_id("item_");
  turn_samples_ = 0;
  fresh_ = 0;
  transcript_.clear();
  pending_.clear();
  segments_.clear();
  words_.clear();
}

void Listening::start(bool live) {
  if (!config_->transcription) {
    return;
  }
  try {
    utterance_ =
        hearing_.utterance(*config_->transcription, live, config_->logprobs);
  } catch (const Error& error) {
    fail(error);
  }
}

void Listening::feed(std::span<const float> samples) {
  turn_samples_ += static_cast<int64_t>(samples.size());
  if (utterance_) {
    fresh_ += static_cast<int64_t>(samples.size());
    utterance_->feed(samples);
  }
}

void Listening::commit_item() {
  auto event = about(ListenEvent::Kind::committed);
  event.previous_item_id = previous_item_id_;
  emit_(std::move(event));
  previous_item_id_ = item_id_;
  in_turn_ = false;
}

// The item's sound is complete.
void Listening::finish() {
  if (utterance_) {
    utterance_->finish();
    finishing_ = true;
  }
}

void Listening::commit(const std::string& event_id) {
  if (config_->noise_reduction) {
    take_clean(hearing_.clean_rest());
  }
  if (in_turn_) {
    feed(sound_);
    position_ += static_cast<int64_t>(sound_.size());
    sound_.clear();
    hearing_.reset();
    end_turn(position_);
    return;
  }
  if (buffer_.size() < kLeastCommit) {
    ListenEvent event;
    event.event_id = event_id;
    event.error = ApiError(
        400,
        "there is nothing to commit: the buffer holds " +
            std::to_string(milliseconds(static_cast<int64_t>(buffer_.size()))) +
            " ms of " + (config_->turn_detection ? "speech" : "sound") +
            ", and 100 ms are needed",
        "",
        "input_audio_buffer_commit_empty");
    emit_(std::move(event));
    return;
  }
  new_item();
  commit_item();
  start(/* live */ false);
  feed(buffer_);
  buffer_ = {};
  finish();
}

void Listening::clear() {
  position_ += static_cast<int64_t>(sound_.size());
  sound_.clear();
  probabilities_.clear();
  before_.clear();
  buffer_ = {};
  hearing_.reset();
  if (in_turn_) {
    in_turn_ = false;
    utterance_.reset();
    fresh_ = 0;
  }
  emit_({.kind = ListenEvent::Kind::cleared});
}

void Listening::hear() {
  fresh_ = 0;
  std::optional<Heard> heard;
  try {
    heard = utterance_->step();
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::cancelled) {
      throw;
    }
    fail(error);
  }
  if (utterance_) {
    settle(std::move(heard));
  }
  if (!utterance_ && finishing_) {
    finishing_ = false;
    advance();
  }
}

void Listening::settle(std::optional<Heard> heard) {
  if (heard) {
    if (transcript_.empty()) {
      heard->text.erase(0, heard->text.find_first_not_of(' '));
    }
    transcript_ += heard->text;
    if (config_->logprobs) {
      words_.insert(words_.end(), heard->words.begin(), heard->words.end());
    }
    segments_.insert(
        segments_.end(), heard->segments.begin(), heard->segments.end());
    bool same = heard->pending == pending_;
    pending_ = heard->pending;
    if (!heard->text.empty() || (config_->pending && !same)) {
      auto event = about(ListenEvent::Kind::text);
      event.text = std::move(heard->text);
      event.pending = std::move(heard->pending);
      event.words = std::move(heard->words);
      emit_(std::move(event));
    }
    return;
  }
  if (!finishing_) {
    return;
  }
  auto event = about(ListenEvent::Kind::completed);
  event.text = std::move(transcript_);
  event.words = std::move(words_);
  event.segments = std::move(segments_);
  event.seconds = static_cast<double>(turn_samples_) / kHearingRate;
  event.language = utterance_->language();
  utterance_.reset();
  emit_(std::move(event));
}

void Listening::fail(const Error& error) {
  utterance_.reset();
  auto event = about(ListenEvent::Kind::failed);
  event.error = ApiError(error);
  emit_(std::move(event));
}

} // namespace mlx_audio::server
