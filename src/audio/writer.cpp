// AudioWriter: limits of each format, resampling where the codec demands it.
#include <algorithm>
#include <array>

#include "audio/codecs/encoder.h"
#include "audio/samples.h"
#include "mlx_audio/audio.h"
#include "mlx_audio/error.h"

namespace mlx_audio {

namespace audio {

FormatLimits limits_of(AudioFormat format) {
  static constexpr std::array<int, 9> mp3 = {
      8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000};
  static constexpr std::array<int, 5> opus = {8000, 12000, 16000, 24000, 48000};
  static constexpr std::array<int, 12> aac = {
      8000,
      11025,
      12000,
      16000,
      22050,
      24000,
      32000,
      44100,
      48000,
      64000,
      88200,
      96000};
  switch (format) {
    case AudioFormat::mp3:
      return {2, mp3};
    case AudioFormat::opus:
      return {8, opus};
    case AudioFormat::aac:
      return {2, aac};
    case AudioFormat::flac:
      return {8, {}};
    default:
      return {64, {}};
  }
}

int stored_rate(AudioFormat format, int sample_rate) {
  auto rates = limits_of(format).rates;
  if (rates.empty()) {
    return sample_rate;
  }
  auto rate = std::lower_bound(rates.begin(), rates.end(), sample_rate);
  return rate == rates.end() ? rates.back() : *rate;
}

} // namespace audio

namespace {

using namespace audio;

[[noreturn]] void reject(const std::string& message, const std::string& hint) {
  throw Error(ErrorKind::invalid_argument, message, hint);
}

int checked_bitrate(const AudioEncoding& encoding, int channels) {
  int default_rate = encoding.format == AudioFormat::opus ? 40
      : encoding.format == AudioFormat::aac               ? 72
                                                          : 80;
  if (encoding.bitrate_kbps == 0) {
    return default_rate * channels;
  }
  if (encoding.bitrate_kbps < 8 || encoding.bitrate_kbps > 320) {
    reject(
        "bitrate " + std::to_string(encoding.bitrate_kbps) +
            " kbit/s is out of range",
        "Give 8 to 320 kbit/s, or 0 for the default.");
  }
  return encoding.bitrate_kbps;
}

std::unique_ptr<Encoder> make_encoder(
    ByteSink& sink,
    const AudioEncoding& encoding,
    int rate,
    int channels) {
  int bitrate = checked_bitrate(encoding, channels);
  switch (encoding.format) {
    case AudioFormat::flac:
      return make_flac_encoder(sink, encoding, rate, channels);
    case AudioFormat::mp3:
      return make_mp3_encoder(sink, bitrate, rate, channels);
    case AudioFormat::opus:
      return make_opus_encoder(sink, bitrate, rate, channels);
    case AudioFormat::aac:
      return make_aac_encoder(sink, bitrate, rate, channels);
    case AudioFormat::pcm:
      return make_pcm_encoder(sink, encoding.sample_format);
    default:
      return make_wav_encoder(sink, encoding, rate, channels);
  }
}

} // namespace

struct AudioWriter::State {
  std::unique_ptr<ByteSink> sink;
  size_t channels = 1;
  std::unique_ptr<Encoder> encoder;
  std::optional<Resampler> resampler;
  std::vector<float> resampled;
  uint64_t written = 0; // samples
  bool finished = false;
};

AudioWriter::AudioWriter(
    std::unique_ptr<ByteSink> sink,
    const AudioEncoding& encoding,
    int sample_rate,
    int channels)
    : state_(std::make_unique<State>()) {
  std::string name = to_string(encoding.format);
  FormatLimits limits = limits_of(encoding.format);
  if (channels < 1 || channels > limits.max_channels) {
    reject(
        name + " cannot have " + std::to_string(channels) + " channels",
        "It takes 1 to " + std::to_string(limits.max_channels) + ".");
  }
  if (sample_rate < 1000 || sample_rate > 655350) {
    reject(
        "sample rate " + std::to_string(sample_rate) + " Hz is out of range",
        "Rates from 1000 to 655350 Hz can be written.");
  }
  if (encoding.format == AudioFormat::flac &&
      encoding.sample_format == SampleFormat::f32) {
    reject("flac cannot hold f32 samples", "Choose s24 for flac, or wav.");
  }
  int rate = stored_rate(encoding.format, sample_rate);
  state_->sink = std::move(sink);
  state_->channels = static_cast<size_t>(channels);
  if (rate != sample_rate) {
    state_->resampler.emplace(sample_rate, rate, channels);
  }
  state_->encoder = make_encoder(*state_->sink, encoding, rate, channels);
}

AudioWriter::~AudioWriter() = default;
AudioWriter::AudioWriter(AudioWriter&&) noexcept = default;
AudioWriter& AudioWriter::operator=(AudioWriter&&) noexcept = default;

void AudioWriter::write(std::span<const float> samples) {
  State& s = *state_;
  if (s.finished || samples.size() % s.channels != 0) {
    throw Error(
        ErrorKind::invalid_argument,
        s.finished ? "[audio] write after finish" : "[audio] not whole frames");
  }
  size_t bad = find_not_finite(samples);
  if (bad < samples.size()) {
    throw Error(
        ErrorKind::invalid_argument,
        "sample " + std::to_string(s.written + bad) +
            " to write is not a finite number");
  }
  s.written += samples.size();
  if (!s.resampler) {
    s.encoder->write(samples);
    return;
  }
  s.resampled.clear();
  s.resampler->process(samples, s.resampled);
  s.encoder->write(s.resampled);
}

void AudioWriter::flush() {
  if (!state_->finished) {
    state_->encoder->flush();
    state_->sink->flush();
  }
}

void AudioWriter::finish() {
  State& s = *state_;
  if (s.finished) {
    return;
  }
  if (s.resampler) {
    s.resampled.clear();
    s.resampler->flush(s.resampled);
    s.encoder->write(s.resampled);
  }
  s.encoder->finish();
  s.sink->finish();
  s.finished = true;
}

std::vector<uint8_t> encode_audio(
    const Audio& audio,
    const AudioEncoding& encoding) {
  std::vector<uint8_t> bytes;
  AudioEncoding known = encoding;
  known.frames = audio.frames();
  AudioWriter writer(
      memory_sink(bytes), known, audio.sample_rate, audio.channels);
  writer.write(audio.samples);
  writer.finish();
  return bytes;
}

void write_audio(
    const std::string& path,
    const Audio& audio,
    const AudioEncoding& encoding) {
  AudioEncoding known = encoding;
  known.frames = audio.frames();
  AudioWriter writer(file_sink(path), known, audio.sample_rate, audio.channels);
  writer.write(audio.samples);
  writer.finish();
}

} // namespace mlx_audio
