#include <soxr.h>

#include <algorithm>
#include <cmath>

#include "mlx_audio/audio.h"
#include "mlx_audio/error.h"

namespace mlx_audio {

struct Resampler::State {
  int from = 0;
  int to = 0;
  size_t channels = 1;
  soxr_t soxr = nullptr;
  uint64_t frames_in = 0;
  uint64_t frames_out = 0;

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    soxr_delete(soxr);
  }

  // in == nullptr is the end of input.
  void run(const float* in, size_t frames, std::vector<float>& out) {
    constexpr size_t kBlock = 8192;
    uint64_t all = (frames_in * static_cast<uint64_t>(to) +
                    static_cast<uint64_t>(from) / 2) /
        static_cast<uint64_t>(from);
    for (;;) {
      size_t used = 0;
      size_t made = 0;
      size_t at = out.size();
      out.resize(at + kBlock * channels);
      soxr_error_t error =
          soxr_process(soxr, in, frames, &used, out.data() + at, kBlock, &made);
      if (error != nullptr) {
        throw Error(ErrorKind::internal, std::string("[resample] ") + error);
      }
      // soxr rounds the length its own way: at most one frame is cut here.
      if (in == nullptr) {
        uint64_t left = all > frames_out ? all - frames_out : 0;
        made = static_cast<size_t>(std::min<uint64_t>(made, left));
      }
      out.resize(at + made * channels);
      frames_out += made;
      if (in != nullptr) {
        in += used * channels;
        frames -= used;
      }
      if (made < kBlock && frames == 0) {
        break;
      }
    }
    if (in == nullptr && frames_out < all) {
      out.resize(out.size() + (all - frames_out) * channels);
      frames_out = all;
    }
  }
};

Resampler::Resampler(
    int from_rate,
    int to_rate,
    int channels,
    ResampleQuality quality)
    : state_(std::make_unique<State>()) {
  for (int rate : {from_rate, to_rate}) {
    if (rate < 1000 || rate > 768000) {
      throw Error(
          ErrorKind::invalid_argument,
          "sample rate " + std::to_string(rate) + " Hz is out of range",
          "Rates from 1000 to 768000 Hz can be converted.");
    }
  }
  if (channels < 1 || channels > 64) {
    throw Error(
        ErrorKind::invalid_argument,
        std::to_string(channels) + " channels; 1 to 64 are possible");
  }
  state_->from = from_rate;
  state_->to = to_rate;
  state_->channels = static_cast<size_t>(channels);
  if (from_rate == to_rate) {
    return;
  }
  soxr_error_t error = nullptr;
  soxr_io_spec_t io = soxr_io_spec(SOXR_FLOAT32_I, SOXR_FLOAT32_I);
  // soxr's default rolls off by up to 0.01 dB towards the band's end, which is
  // an error of -60 dB there; without it the band is flat to -130 dB.
  soxr_quality_spec_t spec = soxr_quality_spec(
      quality == ResampleQuality::vhq ? SOXR_VHQ : SOXR_HQ, SOXR_ROLLOFF_NONE);
  soxr_runtime_spec_t runtime = soxr_runtime_spec(1);
  state_->soxr = soxr_create(
      from_rate,
      to_rate,
      static_cast<unsigned>(channels),
      &error,
      &io,
      &spec,
      &runtime);
  if (error != nullptr) {
    throw Error(ErrorKind::internal, std::string("[resample] ") + error);
  }
}

Resampler::~Resampler() = default;
Resampler::Resampler(Resampler&&) noexcept = default;
Resampler& Resampler::operator=(Resampler&&) noexcept = default;

void Resampler::process(std::span<const float> in, std::vector<float>& out) {
  if (in.size() % state_->channels != 0) {
    throw Error(ErrorKind::invalid_argument, "[resample] not whole frames");
  }
  if (state_->soxr == nullptr) {
    out.insert(out.end(), in.begin(), in.end());
    return;
  }
  if (!in.empty()) {
    size_t frames = in.size() / state_->channels;
    state_->frames_in += frames;
    state_->run(in.data(), frames, out);
  }
}

void Resampler::flush(std::vector<float>& out) {
  if (state_->soxr != nullptr) {
    state_->run(nullptr, 0, out);
  }
}

void Resampler::reset() {
  if (state_->soxr != nullptr) {
    soxr_clear(state_->soxr);
  }
  state_->frames_in = state_->frames_out = 0;
}

Audio resample(const Audio& audio, int sample_rate, ResampleQuality quality) {
  Audio out{{}, sample_rate, audio.channels};
  Resampler resampler(audio.sample_rate, sample_rate, audio.channels, quality);
  resampler.process(audio.samples, out.samples);
  resampler.flush(out.samples);
  return out;
}

Audio mix_to_mono(const Audio& audio) {
  if (audio.channels == 1) {
    return audio;
  }
  Audio out{{}, audio.sample_rate, 1};
  auto channels = static_cast<size_t>(audio.channels);
  out.samples.resize(audio.frames());
  for (size_t i = 0; i < out.samples.size(); ++i) {
    double sum = 0;
    for (size_t c = 0; c < channels; ++c) {
      sum += audio.samples[i * channels + c];
    }
    out.samples[i] = static_cast<float>(sum / static_cast<double>(channels));
  }
  return out;
}

} // namespace mlx_audio
