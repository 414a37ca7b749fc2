// Loudspeaker and microphone through PortAudio, which is looked up at run time:
// programs start on machines that have no sound.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

namespace mlx_audio::audio {

struct DeviceInfo {
  int index;
  std::string name;
  int output_channels;
  int input_channels;
};

/// All devices. Throws unavailable if PortAudio is missing.
std::vector<DeviceInfo> list_devices();

/// Plays blocks as they come.
class AudioPlayer {
 public:
  /// @param device index of list_devices(), or -1 for the default one.
  /// Throws unavailable if PortAudio or a device is missing, invalid_argument
  /// if the device refuses the rate or the channels.
  AudioPlayer(int sample_rate, int channels, int device = -1);
  ~AudioPlayer();
  AudioPlayer(AudioPlayer&&) noexcept;
  AudioPlayer& operator=(AudioPlayer&&) noexcept;

  /// Interleaved samples; returns once the device has taken them, so that it
  /// paces the caller. Gaps between writes are silence, not an error.
  void write(std::span<const float> samples);
  /// Returns when all is heard.
  void drain();
  /// Silence now; what is not heard yet is dropped.
  void stop();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Records blocks.
class AudioRecorder {
 public:
  /// As AudioPlayer, but a device that refuses the rate records at its own.
  AudioRecorder(int sample_rate, int channels, int device = -1);
  ~AudioRecorder();
  AudioRecorder(AudioRecorder&&) noexcept;
  AudioRecorder& operator=(AudioRecorder&&) noexcept;

  /// Of what read() gives.
  int sample_rate() const;
  /// Fills `samples`, whole frames, waiting for them. False if samples were
  /// lost before these because the caller came too late.
  bool read(std::span<float> samples);
  void stop();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

} // namespace mlx_audio::audio
