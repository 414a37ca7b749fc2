// Streaming checkpoints: windows of sound in turn, each with its text, to one
// language model that remembers all. Follows the loop of
// demo/vibevoice_asr_streaming in the original and mlx-audio's.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "models/transcription/audio_feed.h"
#include "models/vibevoice_asr/loudness.h"
#include "models/vibevoice_asr/streams.h"
#include "models/vibevoice_asr/writer.h"

namespace mlx_audio::vibevoice_asr {

class ChunkStream : public TranscriptionStream {
 public:
  ChunkStream(
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

  /// For tests.
  const std::vector<int>& prompt_ids() const {
    return prompt_ids_;
  }
  const std::optional<mx::array>& features() const { // of the last chunk
    return features_;
  }

 private:
  void begin();
  bool begin_chunk();
  bool write();
  TranscriptionSegment finish_chunk();
  double seconds(int64_t samples) const;

  std::shared_ptr<const Model> model_;
  TranscriptionOptions options_;
  AudioFeed feed_;
  Loudness loudness_;
  std::optional<Writer> writer_;
  std::vector<int> prompt_ids_;
  int64_t chunk_ = 0; // samples that a chunk adds
  int64_t window_ = 0; // samples that it hears
  int limit_ = 0; // tokens of a chunk
  int index_ = 0;
  bool in_chunk_ = false;
  bool ended_ = false;
  bool truncated_ = false;
  int cut_chunks_ = 0;
  std::string note_;
  std::vector<int> tokens_; // of the chunk
  double log_probability_ = 0;
  std::optional<mx::array> features_;
};

} // namespace mlx_audio::vibevoice_asr
