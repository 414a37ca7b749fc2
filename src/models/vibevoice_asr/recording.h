// A recording as one prompt and one transcript, in parts of an hour if it is
// longer: heard, encoded, read by the language model, written down.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "models/transcription/audio_feed.h"
#include "models/vibevoice_asr/loudness.h"
#include "models/vibevoice_asr/streams.h"
#include "models/vibevoice_asr/transcript.h"
#include "models/vibevoice_asr/writer.h"

namespace mlx_audio::vibevoice_asr {

/// Settings of the language model that a request asks for.
WriterSettings writer_settings(const TranscriptionOptions& options);

/// Text of ids for people: valid UTF-8.
std::string readable(const std::string& bytes);

class RecordingStream : public TranscriptionStream {
 public:
  RecordingStream(
      std::shared_ptr<const Model> model,
      const TranscriptionRequest& request);

  std::optional<TranscriptionSegment> next() override;
  bool step(std::optional<TranscriptionSegment>& segment) override;
  std::string language() const override {
    return "";
  }
  double language_probability() const override {
    return 0;
  }
  double duration() const override;
  double position() const override;
  std::string warning() const override;
  bool truncated() const override {
    return truncated_;
  }

  /// For tests: latents for the next part instead of what the encoders make.
  void replace_latents(Latents latents);
  const std::vector<int>& prompt_ids() const {
    return prompt_.ids;
  }
  const std::vector<int>& tokens() const {
    return tokens_;
  }
  /// All of the model's text of the part.
  std::string text() const;

 private:
  enum class Phase { hear, encode, read, write, end };

  void hear();
  void encode();
  void start_reading();
  void read();
  void write();
  void take_segments();
  void finish_part();
  mx::array embedded(int begin, int end) const;
  void emit(const WrittenSegment& written);
  int64_t samples(double seconds) const;

  std::shared_ptr<const Model> model_;
  TranscriptionOptions options_;
  AudioFeed feed_;
  Phase phase_ = Phase::hear;
  std::deque<TranscriptionSegment> ready_;
  int next_id_ = 0;
  bool truncated_ = false;
  std::string note_; // for warning()

  // Of the part at work.
  int64_t begin_ = 0; // samples
  int64_t heard_ = 0; // samples that were asked of the feed
  int64_t end_ = 0;
  int parts_ = 0;
  Loudness loudness_;
  int64_t encoded_ = 0; // samples
  Network::State state_;
  std::vector<Latents> pieces_;
  std::optional<Latents> latents_;
  TextIds::Prompt prompt_;
  std::optional<Writer> writer_;
  TranscriptReader reader_;
  std::vector<int> tokens_;
  std::vector<int> history_; // the prompt's and those
  size_t told_ = 0; // tokens of segments that were given
  double log_probability_ = 0; // of tokens since then
  double last_end_ = 0; // seconds, of the last segment
  int segments_ = 0;
  int limit_ = 0; // tokens
};

} // namespace mlx_audio::vibevoice_asr
