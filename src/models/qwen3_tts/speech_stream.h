// Speech of one request, made frame by frame and handed out in chunks.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "mlx_audio/speech.h"
#include "models/pieces.h"
#include "models/qwen3_tts/generator.h"
#include "models/qwen3_tts/network.h"
#include "models/qwen3_tts/text_ids.h"
#include "models/qwen3_tts/voices.h"

namespace mlx_audio::qwen3_tts {

/// A request, checked and resolved.
struct Plan {
  std::string text;
  std::vector<TextPiece> pieces; // one or more
  std::vector<int> instruct_ids;
  std::string language;
  std::string speaker;
  std::shared_ptr<const Voice> voice;
  bool whole_text_first = true;
  Settings settings;
  bool limited = false; // settings.max_frames is for the whole request
  bool low_latency = false;
  std::string warning;
};

class Stream : public SpeechStream {
 public:
  /// @param loop shared by all streams of the network
  Stream(
      const Network& network,
      const TextIds& ids,
      std::shared_ptr<FrameLoop<Generator>> loop,
      Plan plan);
  ~Stream() override;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  std::optional<SpeechChunk> next() override;
  void stop() override;

 private:
  void start_piece();
  void read_frame();
  bool cut_by_length() const;
  bool chunk_is_full() const;
  SpeechChunk take_chunk();

  const Network& network_;
  const TextIds& ids_;
  Plan plan_;
  std::shared_ptr<FrameLoop<Generator>> loop_;
  std::optional<int> request_; // of the piece that is being spoken
  size_t piece_ = 0;
  bool done_ = false;
  FinishReason finish_ = FinishReason::stop;

  codecs::qwen3::Decoder::State decoded_;
  std::vector<int> pending_; // codes not yet decoded
  std::vector<int> said_; // codes of the piece, for the next one's prompt
  std::optional<SpokenContext> carried_;
  int frames_ = 0; // of the request
  int chunk_frames_;
};

} // namespace mlx_audio::qwen3_tts
