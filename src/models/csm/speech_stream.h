// Speech of one request, made frame by frame and handed out in chunks.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mlx_audio/speech.h"
#include "models/csm/generator.h"
#include "models/csm/network.h"
#include "models/csm/prompt.h"
#include "models/csm/text_ids.h"
#include "models/csm/voices.h"
#include "models/pieces.h"

namespace mlx_audio::csm {

/// A request, checked and resolved.
struct Plan {
  std::string text;
  std::vector<TextPiece> pieces; // one or more
  int speaker = 0;
  std::shared_ptr<const Voice> voice; // null: the model makes one up
  Settings settings;
  bool limited = false; // settings.max_frames is for the whole request
  bool low_latency = false;
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
  std::string_view text_of(size_t piece) const;
  mx::array prompt_of(std::string_view text) const;
  int frames_for(int tokens, int positions) const;
  void start_piece();
  void read_frame();
  SpeechChunk take_chunk();

  const Network& network_;
  const TextIds& ids_;
  Plan plan_;
  std::shared_ptr<FrameLoop<Generator>> loop_;
  std::optional<int> request_; // of the piece that is being spoken
  size_t piece_ = 0;
  bool done_ = false;
  FinishReason finish_ = FinishReason::stop;

  codecs::mimi::Decoder::State decoded_; // of this request alone
  std::vector<int> pending_; // codes not yet decoded
  std::vector<int> said_; // codes of the piece, for the next one's prompt
  std::optional<Segment> carried_;
  int frames_ = 0; // of the request
  int chunk_frames_;
};

} // namespace mlx_audio::csm
