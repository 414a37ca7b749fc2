// The way from a session to the engine and back.
#pragma once

#include <functional>
#include <memory>

#include "server/realtime/listening.h"
#include "server/websocket.h"

namespace mlx_audio::server {

/// Used on the connection's strand. Its end cancels what it asked for.
class Listener {
 public:
  virtual ~Listener() = default;
  /// @throws ApiError 404, 429, 503 if nobody can listen now; the command is
  ///   then dropped.
  virtual void send(ListenCommand command) = 0;
  /// Seconds of sound that were sent and not looked at yet.
  virtual double behind() const = 0;
};

/// Takes events, on any thread.
using ListenSink = std::function<void(ListenEvent&&)>;
/// Called on any thread each time sound was looked at.
using HeardSome = std::function<void()>;

/// A client that sends faster than the engine works has to wait.
class Pace {
 public:
  /// Reading pauses while more than `most` seconds of sound wait, until fewer
  /// than `few` do.
  explicit Pace(double most = 60, double few = 20) : most_(most), few_(few) {}

  /// @param behind seconds of sound that wait
  void look(double behind, WebSocketPeer& peer);
  void go(WebSocketPeer& peer);

 private:
  double most_;
  double few_;
  bool paused_ = false;
};

struct EngineListenerOptions {
  std::string model; ///< id
  std::string enhancer; ///< id; empty: no noise is taken out
};

/// Loads models when the first sound comes.
std::unique_ptr<Listener> make_engine_listener(
    Engine& engine,
    const EngineListenerOptions& options,
    ListenSink sink,
    HeardSome heard_some);

} // namespace mlx_audio::server
