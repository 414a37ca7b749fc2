// What AudioWriter asks of a format.
#pragma once

#include <memory>
#include <span>

#include "mlx_audio/audio.h"

namespace mlx_audio::audio {

class Encoder {
 public:
  virtual ~Encoder() = default;
  /// Interleaved, finite, whole frames.
  virtual void write(std::span<const float> samples) = 0;
  /// Gives the sink all that can be decoded by now.
  virtual void flush() {}
  virtual void finish() = 0;
};

/// What a format can hold. Rates are in rising order; none means any.
struct FormatLimits {
  int max_channels;
  std::span<const int> rates;
};
FormatLimits limits_of(AudioFormat format);

/// The rate at which the format stores audio of `sample_rate`: the same, or the
/// next higher one that it has.
int stored_rate(AudioFormat format, int sample_rate);

// Each writes its header to the sink, which must outlive it.
std::unique_ptr<Encoder> make_wav_encoder(
    ByteSink& sink,
    const AudioEncoding& encoding,
    int sample_rate,
    int channels);
std::unique_ptr<Encoder> make_pcm_encoder(ByteSink& sink, SampleFormat format);
std::unique_ptr<Encoder> make_flac_encoder(
    ByteSink& sink,
    const AudioEncoding& encoding,
    int sample_rate,
    int channels);
std::unique_ptr<Encoder> make_mp3_encoder(
    ByteSink& sink,
    int bitrate_kbps,
    int sample_rate,
    int channels);
std::unique_ptr<Encoder> make_opus_encoder(
    ByteSink& sink,
    int bitrate_kbps,
    int sample_rate,
    int channels);
std::unique_ptr<Encoder> make_aac_encoder(
    ByteSink& sink,
    int bitrate_kbps,
    int sample_rate,
    int channels);

} // namespace mlx_audio::audio
