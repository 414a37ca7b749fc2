// /v1/audio/enhancements/realtime: settings as the first JSON message, then
// samples in binary messages; the same without noise comes back.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mlx_audio/engine.h"
#include "server/json.h"
#include "server/realtime/listener.h"

namespace mlx_audio::server {

class EnhancementSocket : public WebSocketSession {
 public:
  /// The id of the model of that name. Throws ApiError if it cannot enhance.
  using FindModel = std::function<std::string(const std::string& name)>;

  EnhancementSocket(
      Engine& engine,
      FindModel find_model,
      std::shared_ptr<WebSocketPeer> peer);

  void on_text(std::string_view message) override;
  void on_binary(std::span<const uint8_t> message) override;
  void on_close() override;

 private:
  struct Line;

  void begin(std::string_view message);
  void stop();
  void finished(const std::optional<Error>& error);
  void send(const char* type, const Json& fields);
  void fail(const ApiError& error);

  Engine& engine_;
  FindModel find_model_;
  std::shared_ptr<WebSocketPeer> peer_;
  int sample_rate_ = 0;
  int channels_ = 1;
  SampleFormat format_ = SampleFormat::s16;
  std::vector<uint8_t> bytes_; // of a frame that is cut between messages
  double seconds_ = 0; // of sound that came
  bool stopping_ = false;
  std::chrono::steady_clock::time_point begun_;
  std::shared_ptr<Line> line_; // to the engine's thread
  std::shared_ptr<Ticket> ticket_;
  Pace pace_;
};

} // namespace mlx_audio::server
