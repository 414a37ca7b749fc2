// A realtime transcription session in OpenAI's words, current and beta: JSON
// events in, JSON events out.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "server/realtime/listener.h"
#include "server/websocket.h"

namespace mlx_audio::server {

/// What a session works with; tests put their own in its place.
struct RealtimeHost {
  SessionLookup lookup;
  std::function<std::unique_ptr<Listener>(
      const SessionConfig& config,
      ListenSink sink,
      HeardSome heard_some)>
      listen;
  std::function<int64_t()> now; ///< seconds since 1970
};

constexpr int64_t kSessionSeconds = 60 * 60; // OpenAI's limit

class RealtimeSession : public WebSocketSession {
 public:
  RealtimeSession(
      std::shared_ptr<const RealtimeHost> host,
      std::shared_ptr<WebSocketPeer> peer,
      SessionConfig config,
      bool beta);

  void on_open() override;
  void on_text(std::string_view message) override;
  void on_binary(std::span<const uint8_t> message) override;
  void on_close() override;

 private:
  void handle(const Json& event);
  void update(const Json& event, bool beta);
  void append(const Json& event);
  void send_command(ListenCommand command);
  void listen();
  void heard(ListenEvent event);
  void heard_text(const ListenEvent& event);
  void heard_all(const ListenEvent& event);
  void committed(const ListenEvent& event);
  void emit(const std::string& type, const Json& fields);
  void emit_error(const ApiError& error, const std::string& event_id);
  Json session_json(bool beta) const;

  std::shared_ptr<const RealtimeHost> host_;
  std::shared_ptr<WebSocketPeer> peer_;
  SessionConfig config_;
  bool beta_;
  std::string id_;
  int64_t expires_;
  std::unique_ptr<AudioInput> input_; // with the first sound
  std::unique_ptr<Listener> listener_;
  std::string client_event_; // id of the event at work
  Pace pace_;
};

} // namespace mlx_audio::server
