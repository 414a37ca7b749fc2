// Microphone and loudspeaker, each on a thread of its own: sound goes on while
// a model computes.
#pragma once

#include <memory>
#include <span>

namespace mlx_audio::cli {

/// Records from its making until Ctrl-C or SIGTERM, which end the recording
/// instead of the program; the second of them ends the program.
class Microphone {
 public:
  /// @param device as AudioRecorder's; throws as it does.
  Microphone(int sample_rate, int channels, int device = -1);
  ~Microphone();

  /// Waits for sound and gives what came since the last call, whole frames;
  /// nothing once all is read. Valid until the next call.
  std::span<const float> read();
  /// Sound was lost because the caller came too late.
  bool lost() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Plays blocks as they come; ends at once when it is destroyed.
class Loudspeaker {
 public:
  /// @param lead seconds of silence before the first block, so that blocks
  ///   which are late by less leave no gap. Throws as AudioPlayer.
  Loudspeaker(int sample_rate, int channels, double lead = 0);
  ~Loudspeaker();

  /// Waits while much is still to be played.
  void write(std::span<const float> samples);
  /// Returns when all is heard.
  void drain();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

} // namespace mlx_audio::cli
