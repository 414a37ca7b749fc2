#include "models/vibevoice_asr/recording.h"

#include <algorithm>
#include <cstdio>

#include "mlx_audio/error.h"

namespace mlx_audio::vibevoice_asr {

namespace {

constexpr double kLongestPart = 59 * 60; // seconds; the original takes no more
constexpr double kCutSearch = 60; // seconds at its end where it may be cut
constexpr double kHearing = 60; // seconds of sound read at a time
constexpr int kPieceFrames = 32; // encoded at a time
constexpr int kPromptRows = 256; // positions read at a time
constexpr int kTokensAtOnce = 8; // written at a time
constexpr int kLeastTokens = 8192; // of a transcript, by default
constexpr double kTokensPerSecond = 16; // twice what quick speech takes

std::string number(double seconds) {
  char text[40];
  std::snprintf(text, sizeof(text), "%.1f s", seconds);
  return text;
}

std::optional<mx::array> joined(
    const std::vector<Latents>& pieces,
    mx::array Latents::* which) {
  std::vector<mx::array> all;
  for (const auto& piece : pieces) {
    all.push_back(piece.*which);
  }
  auto y = all.size() == 1 ? all[0] : mx::concatenate(all, 0);
  y.eval();
  return y;
}

mx::array rows(const mx::array& x, int begin, int end) {
  return mx::slice(x, {begin, 0}, {end, x.shape(1)});
}

} // namespace

WriterSettings writer_settings(const TranscriptionOptions& options) {
  return {
      .sampling =
          {.temperature = static_cast<float>(options.temperatures.at(0)),
           .top_k = options.top_k,
           .top_p = static_cast<float>(options.top_p),
           .min_p = static_cast<float>(options.min_p),
           .repetition_penalty =
               static_cast<float>(options.repetition_penalty)},
      .repetition_context = options.repetition_context,
      .seed = options.seed};
}

std::string readable(const std::string& bytes) {
  // The space makes a character that was cut off malformed.
  auto text = text::valid_utf8(bytes + " ");
  text.pop_back();
  return text;
}

RecordingStream::RecordingStream(
    std::shared_ptr<const Model> model,
    const TranscriptionRequest& request)
    : model_(std::move(model)),
      options_(request.options),
      feed_(request, model_->network->config.sample_rate) {
  feed_.keep_from(0);
  if (!options_.language.empty() && options_.language != "auto") {
    note_ = "the model finds the language itself; '" + options_.language +
        "' has no effect";
  }
}

int64_t RecordingStream::samples(double seconds) const {
  return static_cast<int64_t>(seconds * model_->network->config.sample_rate);
}

double RecordingStream::duration() const {
  return static_cast<double>(feed_.total()) /
      model_->network->config.sample_rate;
}

double RecordingStream::position() const {
  return phase_ == Phase::end ? duration() : std::min(last_end_, duration());
}

std::string RecordingStream::warning() const {
  auto text = feed_.warning();
  return text.empty() ? note_ : note_.empty() ? text : text + "; " + note_;
}

std::string RecordingStream::text() const {
  return readable(model_->ids.bytes(tokens_));
}

void RecordingStream::replace_latents(Latents latents) {
  latents_ = std::move(latents);
}

std::optional<TranscriptionSegment> RecordingStream::next() {
  std::optional<TranscriptionSegment> segment;
  while (!segment && step(segment)) {
  }
  return segment;
}

bool RecordingStream::step(std::optional<TranscriptionSegment>& segment) {
  if (ready_.empty()) {
    switch (phase_) {
      case Phase::hear:
        hear();
        break;
      case Phase::encode:
        encode();
        break;
      case Phase::read:
        read();
        break;
      case Phase::write:
        write();
        break;
      case Phase::end:
        break;
    }
  }
  if (!ready_.empty()) {
    segment = std::move(ready_.front());
    ready_.pop_front();
    return true;
  }
  return phase_ != Phase::end;
}

// Takes in what the part may hold: its loudness is that of all of it.
void RecordingStream::hear() {
  const Config& config = model_->network->config;
  // A quarter of the context is left for words.
  auto longest = std::min<int64_t>(
      samples(kLongestPart), int64_t{config.context} / 4 * 3 * config.hop());
  heard_ = std::min(heard_ + samples(kHearing), begin_ + longest + 1);
  auto sound = feed_.window(begin_, heard_);
  auto size = static_cast<int64_t>(sound.size());
  bool all = begin_ + size < heard_;
  if (!all && size <= longest) {
    return;
  }
  if (size == 0) {
    if (parts_ == 0) {
      throw Error(
          ErrorKind::invalid_argument,
          "the source holds no sound",
          "its length is 0 samples");
    }
    phase_ = Phase::end;
    return;
  }
  ++parts_;
  if (size > longest) {
    sound = sound.first(static_cast<size_t>(longest));
    sound = sound.first(
        static_cast<size_t>(
            quietest_cut(sound, config.sample_rate, kCutSearch)));
    if (parts_ == 1) {
      note_ += (note_.empty() ? "" : "; ") +
          ("longer than " +
           number(static_cast<double>(longest) / config.sample_rate) +
           ", so heard in parts: speakers of two parts are not matched");
    }
  }
  end_ = begin_ + static_cast<int64_t>(sound.size());
  loudness_ = Loudness(sound, config);
  encoded_ = begin_;
  state_ = {};
  pieces_.clear();
  phase_ = Phase::encode;
  if (latents_) {
    start_reading();
  }
}

void RecordingStream::encode() {
  const Network& network = *model_->network;
  auto to = std::min<int64_t>(
      encoded_ + int64_t{kPieceFrames} * network.config.hop(), end_);
  // Nothing is let go, or what remains would move down for every piece.
  auto sound = feed_.window(begin_, end_)
                   .subspan(
                       static_cast<size_t>(encoded_ - begin_),
                       static_cast<size_t>(to - encoded_));
  pieces_.push_back(network.encode(loudness_.apply(sound), state_));
  encoded_ = to;
  if (encoded_ == end_) {
    latents_ = Latents{
        *joined(pieces_, &Latents::acoustic),
        *joined(pieces_, &Latents::semantic)};
    pieces_.clear();
    state_ = {};
    start_reading();
  }
}

void RecordingStream::start_reading() {
  const Config& config = model_->network->config;
  double seconds = static_cast<double>(end_ - begin_) / config.sample_rate;
  prompt_ = model_->ids.prompt(
      latents_->acoustic.shape(0),
      seconds,
      with_hotwords(options_.initial_prompt, options_.hotwords));
  int room = config.context - static_cast<int>(prompt_.ids.size());
  if (room < 1) {
    throw Error(
        ErrorKind::too_large,
        "the prompt has " + std::to_string(prompt_.ids.size()) +
            " positions, the model's context " + std::to_string(config.context),
        "give less context, or a shorter recording");
  }
  int wanted = options_.max_tokens > 0
      ? options_.max_tokens
      : std::max(kLeastTokens, static_cast<int>(seconds * kTokensPerSecond));
  limit_ = std::min(wanted, room);
  writer_.emplace(
      model_->network->language,
      writer_settings(options_),
      Writer::Penalty::logits);
  reader_ = {};
  tokens_.clear();
  history_ = prompt_.ids;
  told_ = 0;
  log_probability_ = 0;
  segments_ = 0;
  phase_ = Phase::read;
}

// Positions [begin, end) of the prompt: tokens, with latents in their midst.
mx::array RecordingStream::embedded(int begin, int end) const {
  const Network& network = *model_->network;
  int speech = prompt_.speech_begin;
  int speech_end = speech + latents_->acoustic.shape(0);
  std::vector<mx::array> parts;
  auto tokens = [&](int from, int to) {
    if (from < to) {
      parts.push_back(network.language.embed(
          std::span(prompt_.ids)
              .subspan(
                  static_cast<size_t>(from), static_cast<size_t>(to - from))));
    }
  };
  tokens(begin, std::min(end, speech));
  int from = std::max(begin, speech);
  int to = std::min(end, speech_end);
  if (from < to) {
    parts.push_back(network.features(
        {rows(latents_->acoustic, from - speech, to - speech),
         rows(latents_->semantic, from - speech, to - speech)}));
  }
  tokens(std::max(begin, speech_end), end);
  return parts.size() == 1 ? parts[0] : mx::concatenate(parts, 0);
}

void RecordingStream::read() {
  int total = static_cast<int>(prompt_.ids.size());
  int from = writer_->length();
  int to = std::min(total, from + kPromptRows);
  writer_->read(embedded(from, to));
  if (to == total) {
    latents_.reset();
    phase_ = Phase::write;
  }
}

void RecordingStream::write() {
  for (int i = 0; i < kTokensAtOnce && ready_.empty(); ++i) {
    if (static_cast<int>(tokens_.size()) == limit_) {
      truncated_ = true;
      finish_part();
      return;
    }
    int id = writer_->pick(history_);
    if (model_->ids.ends(id)) {
      finish_part();
      return;
    }
    tokens_.push_back(id);
    history_.push_back(id);
    log_probability_ += writer_->log_probability();
    reader_.feed(model_->ids.bytes(std::span(&id, 1)));
    take_segments();
    if (static_cast<int>(tokens_.size()) < limit_) {
      writer_->read(std::span(&id, 1));
    }
  }
}

void RecordingStream::take_segments() {
  while (auto written = reader_.next()) {
    emit(*written);
  }
}

void RecordingStream::emit(const WrittenSegment& written) {
  double rate = model_->network->config.sample_rate;
  double offset = static_cast<double>(begin_) / rate;
  // A model may write any number; times stay near the sound.
  double most = static_cast<double>(end_) / rate + 1;
  TranscriptionSegment s;
  s.id = next_id_++;
  s.seek = static_cast<int64_t>(offset * 100);
  s.start = written.start ? std::clamp(*written.start + offset, offset, most)
                          : std::max(last_end_, offset);
  s.end =
      written.end ? std::clamp(*written.end + offset, s.start, most) : s.start;
  s.text = written.text && !written.text->empty() ? " " + *written.text : "";
  s.speaker = written.speaker.value_or("");
  s.tokens.assign(
      tokens_.begin() + static_cast<std::ptrdiff_t>(told_), tokens_.end());
  s.temperature = options_.temperatures.at(0);
  s.avg_logprob = s.tokens.empty()
      ? 0
      : log_probability_ / static_cast<double>(s.tokens.size());
  told_ = tokens_.size();
  log_probability_ = 0;
  last_end_ = s.end;
  ++segments_;
  ready_.push_back(std::move(s));
}

void RecordingStream::finish_part() {
  double rate = model_->network->config.sample_rate;
  double begin = static_cast<double>(begin_) / rate;
  auto note = [&](const std::string& text) {
    note_ += (note_.empty() ? "" : "; ") + text;
  };
  double known = segments_ > 0 ? last_end_ : begin;
  auto written = text();
  if (segments_ == 0 && !written.empty() && !reader_.nothing_said()) {
    // Not what it was asked for, but all that there is.
    note(
        reader_.begun() ? "no segment of the transcript is complete: the text "
                          "is as the model wrote it"
                        : "the model wrote no list of segments");
    emit({0.0, static_cast<double>(end_) / rate - begin, {}, written});
  }
  if (static_cast<int>(tokens_.size()) == limit_) {
    note(
        "cut after " + std::to_string(limit_) + " tokens, at about " +
        number(known) +
        ": what follows is missing; raise --max-tokens or give the rest by "
        "itself");
  }
  writer_.reset();
  begin_ = end_;
  heard_ = begin_;
  feed_.keep_from(begin_);
  phase_ =
      feed_.complete() && begin_ >= feed_.total() ? Phase::end : Phase::hear;
}

} // namespace mlx_audio::vibevoice_asr
