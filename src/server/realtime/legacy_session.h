// Python mlx-audio's /v1/audio/transcriptions/realtime: settings as the first
// JSON message, then 16-bit samples in binary messages, text back per turn.
#pragma once

#include <memory>

#include "server/realtime/session.h"

namespace mlx_audio::server {

class LegacySession : public WebSocketSession {
 public:
  LegacySession(
      std::shared_ptr<const RealtimeHost> host,
      std::shared_ptr<WebSocketPeer> peer);

  void on_text(std::string_view message) override;
  void on_binary(std::span<const uint8_t> message) override;
  void on_close() override;

 private:
  void begin(std::string_view message);
  void stop();
  void heard(const ListenEvent& event);
  void
  complete(const std::string& text, const ListenEvent& event, bool partial);
  void fail(const ApiError& error);

  std::shared_ptr<const RealtimeHost> host_;
  std::shared_ptr<WebSocketPeer> peer_;
  SessionConfig config_;
  bool streaming_ = true; // deltas
  bool ready_ = false;
  bool stopping_ = false;
  Pace pace_;
  std::string text_; // of the turn
  std::unique_ptr<AudioInput> input_;
  std::unique_ptr<Listener> listener_;
};

} // namespace mlx_audio::server
