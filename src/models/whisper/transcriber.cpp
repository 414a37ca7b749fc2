#include "models/whisper/transcriber.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "mlx_audio/error.h"
#include "models/whisper/timing.h"

namespace mlx_audio::whisper {

namespace {

constexpr int64_t kMargin = 400; // samples that mel frames need around them

std::string strip(const std::string& text) {
  auto from = text.find_first_not_of(" \t\n\r\f\v");
  if (from == std::string::npos) {
    return "";
  }
  return text.substr(from, text.find_last_not_of(" \t\n\r\f\v") - from + 1);
}

} // namespace

Transcriber::Transcriber(
    std::shared_ptr<Whisper> whisper,
    const TranscriptionRequest& request)
    : whisper_(std::move(whisper)),
      options_(request.options),
      feed_(request, kSampleRate),
      random_(request.options.seed) {
  check_options(options_, *whisper_);
  language_ = requested_language(options_, whisper_->tokenizer);
}

double Transcriber::duration() const {
  return static_cast<double>(feed_.total()) / kSampleRate;
}

double Transcriber::position() const {
  return std::min(static_cast<double>(seek_) / kFramesPerSecond, duration());
}

int64_t Transcriber::content_frames() const {
  return feed_.total() / kHop;
}

std::optional<TranscriptionSegment> Transcriber::next() {
  if (!started_) {
    started_ = true;
    begin();
  }
  while (ready_.empty() && range_ < ranges_.size()) {
    if (options_.batch_size > 1) {
      batched_step();
    } else {
      sequential_step();
    }
  }
  if (ready_.empty()) {
    return std::nullopt;
  }
  auto segment = std::move(ready_.front());
  ready_.pop_front();
  return segment;
}

void Transcriber::begin() {
  // What the whole sound holds is needed first: the loudest mel value, by which
  // all windows are scaled, and where speech is.
  LogMel& mel = whisper_->log_mel;
  bool want_speech = options_.vad || options_.batch_size > 1;
  std::vector<float> block;
  std::vector<float> probabilities;
  silero_vad::SileroVad::State vad_state;
  int64_t at = 0; // of block[0]
  int64_t frame = 0;
  auto take_frames = [&](int64_t count) {
    if (count <= 0) {
      return;
    }
    auto frames = mel.frames(block, at, frame, count);
    mel_maximum_ = std::max(mel_maximum_, mx::max(frames).item<float>());
    frame += count;
    int64_t keep = std::clamp<int64_t>(
        frame * kHop - kMargin, at, at + static_cast<int64_t>(block.size()));
    block.erase(block.begin(), block.begin() + (keep - at));
    at = keep;
  };
  bool scanned = feed_.scan([&](std::span<const float> samples) {
    block.insert(block.end(), samples.begin(), samples.end());
    auto have = at + static_cast<int64_t>(block.size());
    if (have / kHop - frame > kWindowFrames) {
      take_frames((have - kMargin) / kHop - frame);
    }
    if (want_speech) {
      auto some = whisper_->vad->process(samples, vad_state);
      probabilities.insert(probabilities.end(), some.begin(), some.end());
    }
  });
  if (scanned) {
    // Up to the last frame of the padded signal that touches sound.
    take_frames((feed_.total() + kMargin) / kHop + 1 - frame);
    if (feed_.total() == 0) {
      throw Error(
          ErrorKind::invalid_argument,
          "the source holds no sound",
          "its length is 0 samples");
    }
  } else if (want_speech) {
    throw Error(
        ErrorKind::unsupported,
        "voice detection and batches need a source that can be read twice",
        "save the pipe to a file first");
  }
  if (want_speech) {
    auto rest = whisper_->vad->process({}, vad_state, true);
    probabilities.insert(probabilities.end(), rest.begin(), rest.end());
    speech_ = silero_vad::find_speech(
        probabilities, feed_.total(), options_.vad_options);
  }
  make_ranges(scanned);
  if (range_ < ranges_.size()) {
    seek_ = ranges_[0].begin;
    if (language_.empty()) {
      find_language();
    }
  } else if (language_.empty()) {
    language_ = "en"; // nothing was said in any
    language_probability_ = 0;
  }
  decoding_ = decode_options(options_, whisper_->tokenizer, language_);
  if (!strip(options_.initial_prompt).empty()) {
    history_ = whisper_->tokenizer.encode(" " + strip(options_.initial_prompt));
  }
  initial_prompt_size_ = history_.size();
}

void Transcriber::make_ranges(bool scanned) {
  constexpr int64_t endless = int64_t{1} << 40; // a pipe's end is not known yet
  int64_t end = scanned ? content_frames() : endless;
  std::vector<Range> clips;
  const auto& times = options_.clip_timestamps;
  auto frame_of = [](double seconds) {
    return static_cast<int64_t>(std::nearbyint(seconds * kFramesPerSecond));
  };
  for (size_t i = 0; i < times.size(); i += 2) {
    int64_t from = frame_of(times[i]);
    int64_t to = i + 1 < times.size() ? frame_of(times[i + 1]) : end;
    clips.push_back({from, i + 2 >= times.size() ? std::min(to, end) : to});
  }
  if (clips.empty()) {
    clips.push_back({0, end});
  }
  bool batched = options_.batch_size > 1;
  if (!options_.vad && !batched) {
    ranges_ = std::move(clips);
  } else {
    auto pause = static_cast<int64_t>(batched ? 30 : 2) * kSampleRate;
    auto longest =
        batched ? int64_t{kWindowSamples} : std::max(feed_.total(), pause);
    for (const auto& part : silero_vad::join_ranges(speech_, longest, pause)) {
      for (const auto& clip : clips) {
        Range range{
            std::max(part.begin / kHop, clip.begin),
            std::min((part.end + kHop - 1) / kHop, clip.end)};
        range.end = std::min(range.end, content_frames());
        if (range.begin < range.end) {
          ranges_.push_back(range);
        }
      }
    }
  }
  std::erase_if(ranges_, [](const Range& r) { return r.begin >= r.end; });
}

// The window's features; frames past `frames` are 0, as the original pads.
mx::array Transcriber::window_mel(int64_t seek, int64_t frames) {
  int64_t from = std::max<int64_t>(seek * kHop - kMargin, 0);
  auto samples = feed_.window(from, (seek + frames) * kHop + kMargin);
  auto mel = whisper_->log_mel.frames(samples, from, seek, frames);
  if (!feed_.complete() || mel_maximum_ <= -10) {
    mel_maximum_ = std::max(mel_maximum_, mx::max(mel).item<float>());
  }
  mel = normalize_log_mel(mel, mel_maximum_);
  if (frames < kWindowFrames) {
    mel = mx::pad(mel, {{0, static_cast<int>(kWindowFrames - frames)}, {0, 0}});
  }
  return mx::expand_dims(mel, 0);
}

// True if the window holds nothing at all: below the last bit of 16.
bool Transcriber::digital_silence(int64_t seek, int64_t frames) {
  auto samples = feed_.window(seek * kHop, (seek + frames) * kHop);
  return std::all_of(samples.begin(), samples.end(), [](float x) {
    return std::abs(x) < 1e-5f;
  });
}

void Transcriber::find_language() {
  // Silence follows the sound here, unlike in a window to decode.
  auto windows =
      encode_windows(whisper_->model, window_mel(seek_, kWindowFrames));
  auto guess =
      detect_language(
          whisper_->model, whisper_->tokenizer, windows, options_.languages)
          .front();
  language_ = guess.code;
  language_probability_ = guess.probability;
}

std::vector<int> Transcriber::prompt() const {
  auto from = history_.begin();
  if (!options_.carry_initial_prompt) {
    return {from + static_cast<std::ptrdiff_t>(prompt_from_), history_.end()};
  }
  auto initial = from + static_cast<std::ptrdiff_t>(initial_prompt_size_);
  std::vector<int> tokens(from, initial);
  auto rest = from +
      static_cast<std::ptrdiff_t>(std::max(initial_prompt_size_, prompt_from_));
  auto room = static_cast<std::ptrdiff_t>(
      max_prompt_tokens(whisper_->model.config()) -
      static_cast<int>(std::min<size_t>(
          tokens.size(),
          static_cast<size_t>(max_prompt_tokens(whisper_->model.config())))));
  auto size = std::min<std::ptrdiff_t>(history_.end() - rest, room);
  tokens.insert(tokens.end(), history_.end() - size, history_.end());
  return tokens;
}

bool Transcriber::next_range() {
  ++range_;
  if (range_ < ranges_.size()) {
    seek_ = ranges_[range_].begin;
  }
  return range_ < ranges_.size();
}

void Transcriber::sequential_step() {
  // A pipe's length shows when its end is met.
  feed_.window(
      std::max<int64_t>(seek_ * kHop - kMargin, 0),
      (seek_ + kWindowFrames) * kHop + kMargin);
  if (seek_ >= std::min(ranges_[range_].end, content_frames())) {
    next_range();
    return;
  }
  int64_t frames = std::min<int64_t>(
      kWindowFrames, std::min(content_frames(), ranges_[range_].end) - seek_);
  int64_t window_begin = seek_;
  if (digital_silence(seek_, frames)) {
    seek_ += frames;
    return;
  }
  auto windows = encode_windows(whisper_->model, window_mel(seek_, frames));
  auto decoding = decoding_;
  decoding.prompt = prompt();
  if (first_window_ && !strip(options_.prefix).empty()) {
    decoding.prefix = whisper_->tokenizer.encode(" " + strip(options_.prefix));
  }
  first_window_ = false;
  auto result =
      decode_with_fallback(*whisper_, windows, options_, decoding, random_)
          .front();
  if (is_silence(result, options_)) {
    seek_ += frames;
    return;
  }
  if (!decoding.prefix.empty()) { // the prefix is part of what was said
    result.tokens.insert(
        result.tokens.begin(), decoding.prefix.begin(), decoding.prefix.end());
  }
  auto split = split_window(result, whisper_->tokenizer, seek_, frames, false);
  seek_ += split.advance;
  auto segments = split.segments;
  if (options_.word_timestamps) {
    add_word_timestamps(
        segments,
        whisper_->model,
        whisper_->tokenizer,
        windows.audio,
        static_cast<int>(frames),
        language_,
        options_,
        last_speech_end_);
    skip_hallucinations(segments, split, window_begin, frames);
  }
  if (seek_ <= window_begin && segments.empty()) {
    seek_ = window_begin + frames; // never stand still
  }
  emit(std::move(segments));
  if (!options_.condition_on_previous_text ||
      result.temperature > options_.prompt_reset_temperature) {
    prompt_from_ = history_.size();
  }
}

namespace {

double anomaly(const TranscribedWord& word) {
  double duration = word.end - word.start;
  double score = word.probability < 0.15 ? 1.0 : 0.0;
  if (duration < 0.133) {
    score += (0.133 - duration) * 15;
  }
  if (duration > 2.0) {
    score += duration - 2.0;
  }
  return score;
}

bool looks_made_up(const TranscriptionSegment* segment) {
  static const std::string punctuation = "\"'“¿([{-\"'.。,，!！?？:：”)]}、";
  if (segment == nullptr || segment->words.empty()) {
    return false;
  }
  double score = 0;
  int count = 0;
  for (const auto& word : segment->words) {
    if (punctuation.find(word.text) == std::string::npos) {
      score += anomaly(word);
      if (++count == 8) {
        break;
      }
    }
  }
  return score >= 3 || score + 0.01 >= count;
}

const TranscriptionSegment* with_words(
    const std::vector<TranscriptionSegment>& segments,
    size_t from) {
  for (size_t i = from; i < segments.size(); ++i) {
    if (!segments[i].words.empty()) {
      return &segments[i];
    }
  }
  return nullptr;
}

// End of the last word, or of the last segment if there are no words.
std::optional<double> last_end(
    const std::vector<TranscriptionSegment>& segments) {
  for (size_t i = segments.size(); i > 0; --i) {
    if (!segments[i - 1].words.empty()) {
      return segments[i - 1].words.back().end;
    }
  }
  return segments.empty() ? std::nullopt
                          : std::optional<double>(segments.back().end);
}

} // namespace

// With word times the next window begins after the last word; and, if asked
// for, silence around text that looks made up is passed over. May drop
// segments and move seek_.
void Transcriber::skip_hallucinations(
    std::vector<TranscriptionSegment>& segments,
    const SplitWindow& split,
    int64_t window_begin,
    int64_t frames) {
  auto frame_of = [](double seconds) {
    return static_cast<int64_t>(std::nearbyint(seconds * kFramesPerSecond));
  };
  double offset = static_cast<double>(window_begin) / kFramesPerSecond;
  double window_end =
      static_cast<double>(window_begin + kWindowFrames) / kFramesPerSecond;
  auto end = last_end(segments);
  if (!split.complete && end && *end > offset) {
    seek_ = frame_of(*end);
  }
  if (options_.hallucination_silence_threshold) {
    double threshold = *options_.hallucination_silence_threshold;
    if (!split.complete && end && *end > offset) {
      seek_ = window_end - *end > threshold ? frame_of(*end)
                                            : window_begin + frames;
    }
    const auto* first = with_words(segments, 0);
    if (looks_made_up(first)) {
      double gap = first->start - offset;
      if (gap > threshold) { // listen again from there
        seek_ = window_begin + frame_of(gap);
        segments.clear();
        return;
      }
    }
    double heard = last_speech_end_;
    double content = duration();
    for (size_t i = 0; i < segments.size(); ++i) {
      const auto& segment = segments[i];
      if (segment.words.empty()) {
        continue;
      }
      if (looks_made_up(&segment)) {
        const auto* following = with_words(segments, i + 1);
        double next_start = following != nullptr
            ? following->words[0].start
            : offset + static_cast<double>(frames) / kFramesPerSecond;
        bool silence_before = segment.start - heard > threshold ||
            segment.start < threshold || segment.start - offset < 2.0;
        bool silence_after = next_start - segment.end > threshold ||
            looks_made_up(following) || window_end - segment.end < 2.0;
        if (silence_before && silence_after) {
          seek_ = frame_of(std::max(offset + 1, segment.start));
          if (content - segment.end < threshold) {
            seek_ = content_frames();
          }
          segments.resize(i);
          break;
        }
      }
      heard = segment.end;
    }
  }
  if (auto said = last_end(segments)) {
    last_speech_end_ = *said;
  }
}

// One at a time: the encoder is bound by arithmetic, and its scores are what
// takes memory.
EncodedWindows Transcriber::encode_ranges(const std::vector<Range>& ranges) {
  std::vector<mx::array> audio;
  for (const auto& range : ranges) {
    audio.push_back(whisper_->model.encode(
        window_mel(range.begin, range.end - range.begin)));
    audio.back().eval();
  }
  return remember_windows(whisper_->model, mx::concatenate(audio, 0));
}

// Seconds of speech in the range from a time on, without its padding.
double Transcriber::speech_after(double seconds, const Range& range) const {
  auto from = static_cast<int64_t>(seconds * kSampleRate);
  auto padding =
      static_cast<int64_t>(options_.vad_options.padding * kSampleRate);
  int64_t samples = 0;
  for (const auto& part : speech_) {
    int64_t begin = std::max(part.begin, from);
    int64_t end = std::min(part.end - padding, range.end * kHop);
    samples += std::max<int64_t>(end - begin, 0);
  }
  return static_cast<double>(samples) / kSampleRate;
}

// Whether a window's segments end before its speech does.
bool Transcriber::ends_early(
    const std::vector<TranscriptionSegment>& segments,
    const Range& range) const {
  double end = segments.back().end;
  return options_.timestamps &&
      end > static_cast<double>(range.begin) / kFramesPerSecond + 1.2 &&
      speech_after(end, range) > 0.5;
}

// The segments of one window of a batch. Where the model ended before the
// speech does, it is made to go on from its last time.
std::vector<TranscriptionSegment> Transcriber::batched_segments(
    const EncodedWindows& windows,
    size_t index,
    const Range& range,
    DecodeOptions decoding,
    DecodeResult result) {
  int64_t frames = range.end - range.begin;
  auto split = [&] {
    return split_window(result, whisper_->tokenizer, range.begin, frames, true)
        .segments;
  };
  auto segments = split();
  auto is_time = [&](int token) {
    return token >= whisper_->tokenizer.timestamp_begin;
  };
  for (int more = 0; more < 3 && ends_early(segments, range); ++more) {
    auto& heard = decoding.resume;
    heard.insert(heard.end(), result.tokens.begin(), result.tokens.end());
    if (heard.size() < 2 || !is_time(heard.back())) {
      break;
    }
    if (!is_time(heard[heard.size() - 2])) {
      heard.push_back(heard.back()); // from where the last segment ends
    }
    result = decode_with_fallback(
                 *whisper_,
                 select_windows(windows, {static_cast<int>(index)}),
                 options_,
                 decoding,
                 random_)
                 .front();
    if (std::all_of(result.tokens.begin(), result.tokens.end(), is_time)) {
      break;
    }
    // Its first segment begins with the last time heard.
    result.tokens.insert(result.tokens.begin(), heard.back());
    heard.pop_back();
    auto rest = split();
    segments.insert(
        segments.end(),
        std::make_move_iterator(rest.begin()),
        std::make_move_iterator(rest.end()));
  }
  if (options_.word_timestamps) {
    add_word_timestamps(
        segments,
        whisper_->model,
        whisper_->tokenizer,
        mx::take(windows.audio, mx::array({static_cast<int>(index)}), 0),
        static_cast<int>(frames),
        language_,
        options_,
        last_speech_end_);
    last_speech_end_ = last_end(segments).value_or(last_speech_end_);
  }
  return segments;
}

void Transcriber::batched_step() {
  std::vector<Range> batch;
  // Windows are read again where one ended too early.
  feed_.keep_from(ranges_[range_].begin * kHop - kMargin);
  for (auto more = static_cast<size_t>(options_.batch_size);
       batch.size() < more && range_ < ranges_.size();
       ++range_) {
    auto range = ranges_[range_];
    range.end = std::min(range.end, range.begin + kWindowFrames);
    if (!digital_silence(range.begin, range.end - range.begin)) {
      batch.push_back(range);
    }
  }
  if (batch.empty()) {
    return;
  }
  auto decoding = decoding_;
  decoding.prompt = {
      history_.begin(),
      history_.begin() + static_cast<std::ptrdiff_t>(initial_prompt_size_)};
  std::vector<std::vector<TranscriptionSegment>> heard(batch.size());
  std::vector<size_t> slots(batch.size()); // of the ranges that are decoded
  std::iota(slots.begin(), slots.end(), size_t{0});
  auto todo = batch;
  // What a window leaves unheard even so is a window of its own.
  for (int round = 0; round < 3 && !todo.empty(); ++round) {
    auto windows = encode_ranges(todo);
    auto results =
        decode_with_fallback(*whisper_, windows, options_, decoding, random_);
    std::vector<Range> left;
    std::vector<size_t> left_slots;
    for (size_t i = 0; i < todo.size(); ++i) {
      if (is_silence(results[i], options_)) {
        continue;
      }
      const auto& range = todo[i];
      auto segments =
          batched_segments(windows, i, range, decoding, std::move(results[i]));
      if (ends_early(segments, range)) {
        // A little earlier: times of segments are rounded and words begin soft.
        left.push_back(
            {static_cast<int64_t>(
                 (segments.back().end - 0.2) * kFramesPerSecond),
             range.end});
        left_slots.push_back(slots[i]);
      }
      auto& all = heard[slots[i]];
      all.insert(
          all.end(),
          std::make_move_iterator(segments.begin()),
          std::make_move_iterator(segments.end()));
    }
    todo = std::move(left);
    slots = std::move(left_slots);
  }
  seek_ = batch.back().end;
  for (auto& segments : heard) {
    emit(std::move(segments));
  }
}

void Transcriber::emit(std::vector<TranscriptionSegment> segments) {
  for (auto& segment : segments) {
    if (segment.start == segment.end || strip(segment.text).empty()) {
      segment.text.clear();
      segment.tokens.clear();
      segment.words.clear();
    }
    history_.insert(
        history_.end(), segment.tokens.begin(), segment.tokens.end());
    segment.id = next_id_++;
    ready_.push_back(std::move(segment));
  }
  // Only the end can prompt; a talk of days must not fill the memory.
  constexpr size_t most = 4096;
  if (history_.size() > 2 * most + initial_prompt_size_) {
    auto gone = history_.size() - most - initial_prompt_size_;
    auto from =
        history_.begin() + static_cast<std::ptrdiff_t>(initial_prompt_size_);
    history_.erase(from, from + static_cast<std::ptrdiff_t>(gone));
    prompt_from_ = prompt_from_ > gone ? prompt_from_ - gone : 0;
  }
}

} // namespace mlx_audio::whisper
