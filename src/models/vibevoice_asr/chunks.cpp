#include "models/vibevoice_asr/chunks.h"

#include <algorithm>
#include <cmath>

#include "mlx_audio/error.h"
#include "models/vibevoice_asr/recording.h"

namespace mlx_audio::vibevoice_asr {

namespace {

constexpr int kChunkTokens = 256; // at most, by default
constexpr int kTokensAtOnce = 8;
constexpr double kLongest = 12 * 3600; // seconds, where loudness needs all

} // namespace

ChunkStream::ChunkStream(
    std::shared_ptr<const Model> model,
    const TranscriptionRequest& request)
    : model_(std::move(model)),
      options_(request.options),
      feed_(request, model_->network->config.sample_rate) {
  const Config& config = model_->network->config;
  auto frames = [&](const std::optional<double>& seconds, int otherwise) {
    return seconds ? std::lround(*seconds * config.sample_rate / config.hop())
                   : otherwise;
  };
  chunk_ = options_.chunk_duration
      ? std::max<int64_t>(
            1, std::llround(*options_.chunk_duration * config.sample_rate))
      : int64_t{config.chunk_frames} * config.hop();
  window_ = chunk_ +
      frames(options_.text_audio_delay, config.lookahead_frames) * config.hop();
  limit_ = options_.max_tokens > 0 ? std::min(options_.max_tokens, kChunkTokens)
                                   : kChunkTokens;
  if (!options_.language.empty() && options_.language != "auto") {
    note_ = "the model finds the language itself; '" + options_.language +
        "' has no effect";
  }
}

double ChunkStream::seconds(int64_t samples) const {
  return static_cast<double>(samples) / model_->network->config.sample_rate;
}

double ChunkStream::duration() const {
  return seconds(feed_.total());
}

double ChunkStream::position() const {
  return std::min(seconds(index_ * chunk_), duration());
}

std::string ChunkStream::warning() const {
  std::string text = feed_.warning();
  auto add = [&](const std::string& part) {
    text += (text.empty() || part.empty() ? "" : "; ") + part;
  };
  add(note_);
  if (cut_chunks_ > 0) {
    add("the text of " + std::to_string(cut_chunks_) +
        " chunks was cut after " + std::to_string(limit_) + " tokens");
  }
  return text;
}

std::optional<TranscriptionSegment> ChunkStream::next() {
  std::optional<TranscriptionSegment> segment;
  while (!segment && step(segment)) {
  }
  return segment;
}

bool ChunkStream::step(std::optional<TranscriptionSegment>& segment) {
  if (ended_) {
    return false;
  }
  if (!writer_) {
    begin();
  } else if (!in_chunk_) {
    if (!begin_chunk()) {
      ended_ = true;
    }
  } else if (write()) {
    segment = finish_chunk();
  }
  return !ended_ || segment;
}

void ChunkStream::begin() {
  const Network& network = *model_->network;
  if (network.config.normalize) {
    feed_.keep_from(0);
    auto most = static_cast<int64_t>(kLongest * network.config.sample_rate);
    loudness_ = Loudness(feed_.window(0, most), network.config);
  }
  prompt_ids_ = model_->ids.streaming_prompt(
      with_hotwords(options_.initial_prompt, options_.hotwords));
  if (static_cast<int>(prompt_ids_.size()) >= network.config.context) {
    throw Error(
        ErrorKind::too_large,
        "the prompt has " + std::to_string(prompt_ids_.size()) +
            " positions, the model's context " +
            std::to_string(network.config.context),
        "give less context");
  }
  writer_.emplace(
      network.language,
      writer_settings(options_),
      Writer::Penalty::log_probabilities);
  writer_->read(prompt_ids_);
}

// Hears the next window; false at the end of the sound, or of the context.
bool ChunkStream::begin_chunk() {
  const Network& network = *model_->network;
  int64_t from = index_ * chunk_;
  auto sound = feed_.window(from, from + window_);
  if (sound.empty()) {
    if (index_ == 0) {
      throw Error(
          ErrorKind::invalid_argument,
          "the source holds no sound",
          "its length is 0 samples");
    }
    return false;
  }
  auto samples = loudness_.apply(sound);
  if (options_.pad_last_chunk) {
    samples.resize(static_cast<size_t>(window_));
  }
  int hop = network.config.hop();
  int frames = static_cast<int>((samples.size() + hop - 1) / hop);
  // Its text and what ends it follow.
  if (writer_->length() + frames + 3 + limit_ > network.config.context) {
    truncated_ = true;
    note_ += (note_.empty() ? "" : "; ") +
        ("the model's context of " + std::to_string(network.config.context) +
         " positions is full after " + std::to_string(std::lround(position())) +
         " s: what follows is missing, give it by itself");
    return false;
  }
  Network::State state; // windows overlap: each begins anew
  features_ = network.features(network.encode(samples, state));
  int start = model_->ids.speech_start();
  int end = model_->ids.speech_end();
  writer_->read(
      mx::concatenate(
          {network.language.embed({&start, 1}),
           *features_,
           network.language.embed({&end, 1})},
          0));
  tokens_.clear();
  log_probability_ = 0;
  in_chunk_ = true;
  return true;
}

// True once the chunk's text is complete.
bool ChunkStream::write() {
  for (int i = 0; i < kTokensAtOnce; ++i) {
    if (static_cast<int>(tokens_.size()) == limit_) {
      ++cut_chunks_;
      truncated_ = true;
      return true;
    }
    int id = writer_->pick(tokens_);
    if (model_->ids.ends_chunk(id)) {
      return true;
    }
    log_probability_ += writer_->log_probability();
    tokens_.push_back(id);
    writer_->read(std::span(&id, 1));
  }
  return false;
}

TranscriptionSegment ChunkStream::finish_chunk() {
  int end = model_->ids.chunk_end();
  writer_->read(std::span(&end, 1));
  in_chunk_ = false;
  TranscriptionSegment s;
  s.id = index_;
  s.start = seconds(index_ * chunk_);
  s.seek = static_cast<int64_t>(s.start * 100);
  s.end = std::min(seconds((index_ + 1) * chunk_), duration());
  s.text = readable(model_->ids.bytes(tokens_));
  s.tokens = tokens_;
  s.temperature = options_.temperatures.at(0);
  s.avg_logprob = tokens_.empty()
      ? 0
      : log_probability_ / static_cast<double>(tokens_.size());
  ++index_;
  return s;
}

} // namespace mlx_audio::vibevoice_asr
