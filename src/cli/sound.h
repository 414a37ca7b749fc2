// Microphone and loudspeaker, each on a thread of its own: sound goes on while
// a model computes.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "mlx_audio/audio.h"

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

/// A file, a pipe or the microphone.
class SoundInput {
 public:
  /// Blocks of up to `block` seconds. Throws as AudioReader.
  SoundInput(
      const std::string& path,
      const ReadAudioOptions& reading,
      double block);
  /// The microphone, in one channel.
  SoundInput(int sample_rate, int device);

  int sample_rate() const;
  int channels() const;
  SampleFormat sample_format() const;
  /// Of all of it; 0 if nobody knows.
  double seconds() const;
  /// Waits for sound; nothing at the end. Valid until the next call.
  std::span<const float> read();
  /// One line for people; empty if all is well.
  std::string warning() const;

 private:
  int sample_rate_;
  int channels_;
  std::optional<AudioReader> reader_;
  std::optional<Microphone> microphone_;
  std::vector<float> block_;
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
