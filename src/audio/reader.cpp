// AudioReader: finds the decoder, checks samples, chooses channels, resamples.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "audio/codecs/decoder.h"
#include "audio/samples.h"
#include "audio/source.h"
#include "mlx_audio/audio.h"
#include "mlx_audio/error.h"

namespace mlx_audio {

namespace {

using namespace audio;

[[noreturn]] void not_audio(const ByteSource& source, const Sniffed& kind) {
  if (kind.container == Container::unknown) {
    throw Error(
        ErrorKind::corrupt_data,
        source.name() + " is not audio in a known format",
        "For headerless samples give their rate, channels and sample format.");
  }
  throw Error(
      ErrorKind::corrupt_data,
      source.name() + " starts like " + kind.name + " but cannot be decoded");
}

std::unique_ptr<Decoder> open_decoder(
    std::unique_ptr<ByteSource>& source,
    const ReadAudioOptions& options) {
  if (options.raw) {
    return make_raw_decoder(*source, *options.raw);
  }
  auto head = source->peek(64);
  if (head.empty()) {
    throw Error(ErrorKind::corrupt_data, source->name() + " is empty");
  }
  Sniffed kind = sniff(head);
  if (!source->size() && kind.container != Container::wav) {
    source = spool(*source, options.max_bytes);
  }
  if (kind.container == Container::wav) {
    if (auto decoder = make_wav_decoder(*source)) {
      return decoder;
    }
    if (!source->size()) {
      throw Error(
          ErrorKind::unsupported,
          source->name() + " is WAV with a compressed codec in a pipe",
          "Give it as a file.");
    }
    source->seek(0);
  }
  if (kind.container == Container::mpeg) {
    if (auto decoder = make_mp3_decoder(*source)) {
      return decoder;
    }
  }
  if (kind.container == Container::vorbis) {
    if (auto decoder = make_vorbis_decoder(*source)) {
      return decoder;
    }
  }
  if (kind.container == Container::wav ||
      kind.container == Container::sndfile) {
    if (auto decoder = make_sndfile_decoder(*source)) {
      return decoder;
    }
  }
  if (auto decoder = make_ffmpeg_decoder(*source, kind.name)) {
    return decoder;
  }
  not_audio(*source, kind);
}

} // namespace

struct AudioReader::State {
  ReadAudioOptions options;
  std::unique_ptr<ByteSource> source;
  std::unique_ptr<Decoder> decoder;
  std::optional<Resampler> resampler;
  size_t channels = 1; // delivered
  int rate = 0;
  uint64_t frames_in = 0;
  bool ended = false;
  std::string warning;
  std::vector<float> block; // of the source, then of the chosen channels
  std::vector<float> ready; // resampled, [ready_at, end) not yet delivered
  size_t ready_at = 0;

  void open() {
    if (options.mono && options.channel) {
      throw Error(
          ErrorKind::invalid_argument,
          "one channel and the mix of all exclude each other");
    }
    decoder = open_decoder(source, options);
    const AudioInfo& info = decoder->info();
    if (options.channel &&
        (*options.channel < 0 || *options.channel >= info.channels)) {
      throw Error(
          ErrorKind::invalid_argument,
          source->name() + " has no channel " +
              std::to_string(*options.channel) + ", only " +
              std::to_string(info.channels));
    }
    bool one = options.mono || options.channel;
    channels = one ? 1 : static_cast<size_t>(info.channels);
    rate = options.sample_rate.value_or(info.sample_rate);
    if (rate != info.sample_rate) {
      resampler.emplace(info.sample_rate, rate, static_cast<int>(channels));
    }
    if (info.frames && options.max_seconds > 0 &&
        static_cast<double>(*info.frames) / info.sample_rate >
            options.max_seconds) {
      too_long();
    }
  }

  [[noreturn]] void too_long() const {
    throw Error(
        ErrorKind::too_large,
        source->name() + " is longer than the limit of " +
            std::to_string(std::llround(options.max_seconds)) + " s");
  }

  /// Fills `block` with the chosen channels; false at the end.
  bool fetch(size_t frames) {
    const AudioInfo& info = decoder->info();
    auto from = static_cast<size_t>(info.channels);
    block.resize(frames * from);
    size_t got = decoder->read(block);
    block.resize(got * from);
    if (got == 0) {
      ended = true;
      if (frames_in == 0) {
        throw Error(
            ErrorKind::corrupt_data,
            source->name() + " holds no audio samples");
      }
      if (decoder->truncated()) {
        warning = source->name() +
            " is truncated: " + std::to_string(frames_in) +
            " frames could be read";
        if (info.frames && *info.frames > frames_in) {
          warning += " of " + std::to_string(*info.frames);
        }
      }
      return false;
    }
    size_t bad = find_not_finite(block);
    if (bad < block.size()) {
      if (!options.sanitize) {
        throw Error(
            ErrorKind::corrupt_data,
            source->name() + " has a sample that is " +
                (std::isnan(block[bad]) ? "not a number" : "infinite") +
                " at frame " + std::to_string(frames_in + bad / from) +
                ", channel " + std::to_string(bad % from));
      }
      for (float& x : block) {
        x = std::isfinite(x) ? x : 0.0F;
      }
    }
    frames_in += got;
    if (options.max_seconds > 0 &&
        static_cast<double>(frames_in) / info.sample_rate >
            options.max_seconds) {
      too_long();
    }
    if (from != channels) {
      for (size_t i = 0; i < got; ++i) {
        const float* frame = block.data() + i * from;
        if (options.channel) {
          block[i] = frame[*options.channel];
        } else {
          double sum = 0;
          for (size_t c = 0; c < from; ++c) {
            sum += frame[c];
          }
          block[i] = static_cast<float>(sum / static_cast<double>(from));
        }
      }
      block.resize(got);
    }
    return true;
  }

  size_t read(std::span<float> out) {
    size_t wanted = out.size() / channels;
    if (wanted == 0) {
      return 0;
    }
    constexpr size_t kBlock = 16384;
    while (ready_at == ready.size() && !ended) {
      ready.clear();
      ready_at = 0;
      if (!fetch(resampler ? kBlock : std::min(wanted, kBlock))) {
        if (resampler) {
          resampler->flush(ready);
        }
      } else if (resampler) {
        resampler->process(block, ready);
      } else {
        ready.swap(block);
      }
    }
    size_t n = std::min(wanted * channels, ready.size() - ready_at);
    std::copy_n(
        ready.begin() + static_cast<std::ptrdiff_t>(ready_at), n, out.begin());
    ready_at += n;
    return n / channels;
  }
};

AudioReader::AudioReader(
    const std::string& path,
    const ReadAudioOptions& options)
    : state_(std::make_unique<State>()) {
  state_->options = options;
  state_->source = open_source(path);
  state_->open();
}

AudioReader::AudioReader(
    std::span<const uint8_t> bytes,
    const ReadAudioOptions& options)
    : state_(std::make_unique<State>()) {
  state_->options = options;
  state_->source = memory_source(bytes);
  state_->open();
}

AudioReader::~AudioReader() = default;
AudioReader::AudioReader(AudioReader&&) noexcept = default;
AudioReader& AudioReader::operator=(AudioReader&&) noexcept = default;

const AudioInfo& AudioReader::info() const {
  return state_->decoder->info();
}

int AudioReader::sample_rate() const {
  return state_->rate;
}

int AudioReader::channels() const {
  return static_cast<int>(state_->channels);
}

size_t AudioReader::read(std::span<float> out) {
  return state_->read(out);
}

bool AudioReader::truncated() const {
  return !state_->warning.empty();
}

const std::string& AudioReader::warning() const {
  return state_->warning;
}

namespace {

Audio read_all(AudioReader reader, const ReadAudioOptions& options) {
  Audio audio{{}, reader.sample_rate(), reader.channels()};
  auto channels = static_cast<size_t>(audio.channels);
  size_t limit = options.max_bytes > 0 ? options.max_bytes / sizeof(float)
                                       : std::numeric_limits<size_t>::max();
  std::vector<float> block(16384 * channels);
  while (size_t frames = reader.read(block)) {
    size_t n = frames * channels;
    if (n > limit - audio.samples.size()) {
      throw Error(
          ErrorKind::too_large,
          "the audio needs more than the limit of " +
              std::to_string(options.max_bytes) + " bytes");
    }
    audio.samples.insert(
        audio.samples.end(),
        block.begin(),
        block.begin() + static_cast<std::ptrdiff_t>(n));
  }
  return audio;
}

} // namespace

Audio read_audio(const std::string& path, const ReadAudioOptions& options) {
  return read_all(AudioReader(path, options), options);
}

Audio decode_audio(
    std::span<const uint8_t> bytes,
    const ReadAudioOptions& options) {
  return read_all(AudioReader(bytes, options), options);
}

} // namespace mlx_audio
