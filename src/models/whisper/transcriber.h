// One request from sound to segments: windows in sequence, or many at once.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "mlx_audio/transcription.h"
#include "models/silero_vad/speech.h"
#include "models/transcription/audio_feed.h"
#include "models/whisper/decoding.h"
#include "models/whisper/mel.h"

namespace mlx_audio::whisper {

/// A loaded model with all that its streams share.
struct Whisper {
  WhisperModel model;
  WhisperTokenizer tokenizer;
  LogMel log_mel;
  std::shared_ptr<silero_vad::SileroVad> vad; // may be null
};

/// Checks a request's options against the model. Throws invalid_argument.
void check_options(const TranscriptionOptions& options, const Whisper& whisper);

/// The language code that was asked for; empty: to be detected.
std::string requested_language(
    const TranscriptionOptions& options,
    const WhisperTokenizer& tokenizer);

/// The part of the options that a window's decoding needs.
DecodeOptions decode_options(
    const TranscriptionOptions& options,
    const WhisperTokenizer& tokenizer,
    const std::string& language);

/// Decodes windows, and again at higher temperatures those that fail the
/// thresholds.
std::vector<DecodeResult> decode_with_fallback(
    const Whisper& whisper,
    const EncodedWindows& windows,
    const TranscriptionOptions& options,
    DecodeOptions decoding,
    std::mt19937_64& random);

/// True if a window is to be passed over as silence.
bool is_silence(
    const DecodeResult& result,
    const TranscriptionOptions& options);

/// A window's tokens as segments.
struct SplitWindow {
  std::vector<TranscriptionSegment> segments;
  /// Mel frames to go forward.
  int64_t advance = 0;
  /// The window ended with a single time: no speech follows it.
  bool complete = false;
};
/// @param frames mel frames of the window that hold sound.
/// @param keep_tail text after the last pair of times is a segment too, for
///   windows that nobody comes back to.
SplitWindow split_window(
    const DecodeResult& result,
    const WhisperTokenizer& tokenizer,
    int64_t seek,
    int64_t frames,
    bool keep_tail);

class Transcriber : public TranscriptionStream {
 public:
  Transcriber(
      std::shared_ptr<Whisper> whisper,
      const TranscriptionRequest& request);

  std::optional<TranscriptionSegment> next() override;
  std::string language() const override {
    return language_;
  }
  double language_probability() const override {
    return language_probability_;
  }
  double duration() const override;
  double position() const override;
  std::string warning() const override {
    return feed_.warning();
  }

 private:
  struct Range { // mel frames
    int64_t begin;
    int64_t end;
  };

  void begin();
  void find_language();
  void make_ranges(bool scanned);
  void sequential_step();
  void batched_step();
  EncodedWindows encode_ranges(const std::vector<Range>& ranges);
  double speech_after(double seconds, const Range& range) const;
  bool ends_early(
      const std::vector<TranscriptionSegment>& segments,
      const Range& range) const;
  std::vector<TranscriptionSegment> batched_segments(
      const EncodedWindows& windows,
      size_t index,
      const Range& range,
      DecodeOptions decoding,
      DecodeResult result);
  bool next_range();
  int64_t content_frames() const;
  mx::array window_mel(int64_t seek, int64_t frames);
  bool digital_silence(int64_t seek, int64_t frames);
  std::vector<int> prompt() const;
  void skip_hallucinations(
      std::vector<TranscriptionSegment>& segments,
      const SplitWindow& split,
      int64_t window_begin,
      int64_t frames);
  void emit(std::vector<TranscriptionSegment> segments);

  std::shared_ptr<Whisper> whisper_;
  TranscriptionOptions options_;
  AudioFeed feed_;
  std::mt19937_64 random_;
  std::string language_;
  double language_probability_ = 1;
  DecodeOptions decoding_;
  float mel_maximum_ = -10; // log10
  std::vector<silero_vad::SpeechRange> speech_; // samples
  std::vector<Range> ranges_;
  size_t range_ = 0;
  int64_t seek_ = 0;
  bool started_ = false;
  bool first_window_ = true;
  std::vector<int> history_; // tokens said so far, after the initial prompt's
  size_t initial_prompt_size_ = 0;
  size_t prompt_from_ = 0;
  double last_speech_end_ = 0;
  std::deque<TranscriptionSegment> ready_;
  int next_id_ = 0;
};

} // namespace mlx_audio::whisper
