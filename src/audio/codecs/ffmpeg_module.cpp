// The C++ side of the FFmpeg module: loading, decoding, AAC encoding.
#include "audio/codecs/ffmpeg_module.h"

#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <vector>

#include "audio/codecs/decoder.h"
#include "audio/codecs/encoder.h"
#include "mlx_audio/error.h"

namespace mlx_audio::audio {

namespace {

constexpr char kModule[] = "libmlx_audio_ffmpeg.so";

std::vector<std::string> module_paths() {
  const char* chosen = std::getenv("MLX_AUDIO_MODULES");
  if (chosen != nullptr && *chosen != 0) {
    return {std::string(chosen) + "/" + kModule};
  }
  Dl_info self{};
  static const char anchor = 0; // an address within this library
  if (dladdr(&anchor, &self) == 0 || self.dli_fname == nullptr) {
    return {kModule};
  }
  std::string folder = self.dli_fname;
  size_t slash = folder.rfind('/');
  folder = slash == std::string::npos ? "." : folder.substr(0, slash);
  return {folder + "/" + kModule, folder + "/mlx_audio/" + kModule};
}

} // namespace

const mlx_audio_ffmpeg_api& ffmpeg_module(const std::string& what) {
  static std::atomic<const mlx_audio_ffmpeg_api*> loaded{nullptr};
  static std::mutex mutex;
  if (const auto* api = loaded.load()) {
    return *api;
  }
  std::lock_guard lock(mutex);
  std::string reason;
  for (const std::string& path : module_paths()) {
    void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
      const char* error = dlerror();
      reason = error != nullptr ? error : path;
      continue;
    }
    auto get = reinterpret_cast<decltype(&mlx_audio_ffmpeg_get_api)>(
        dlsym(library, "mlx_audio_ffmpeg_get_api"));
    const auto* api = get != nullptr ? get() : nullptr;
    if (api != nullptr && api->version == MLX_AUDIO_FFMPEG_API_VERSION) {
      loaded = api;
      return *api;
    }
    reason = path + " is of another version";
  }
  throw Error(
      ErrorKind::unavailable,
      what + " needs the FFmpeg module: " + reason,
      "Build with libavcodec-dev and libavformat-dev, or put " +
          std::string(kModule) +
          " beside libmlx_audio.so. wav, flac, mp3, ogg "
          "and opus work without it.");
}

namespace {

class FfmpegDecoder : public Decoder {
 public:
  FfmpegDecoder(ByteSource& source, const mlx_audio_ffmpeg_api& api)
      : source_(source), api_(api) {
    mlx_audio_ffmpeg_input input{
        this, on_read, on_seek, static_cast<int64_t>(*source.size())};
    mlx_audio_ffmpeg_info about{};
    char error[MLX_AUDIO_FFMPEG_ERROR_SIZE] = "";
    decoder_ = api_.open_decoder(&input, &about, error);
    if (decoder_ == nullptr) {
      rethrow();
      if (error[0] != 0) {
        fail(error);
      }
      return;
    }
    info_.sample_rate = about.sample_rate;
    info_.channels = about.channels;
    if (about.frames >= 0) {
      info_.frames = static_cast<uint64_t>(about.frames);
    }
    info_.sample_format = about.bits == 16 ? SampleFormat::s16
        : about.bits == 24                 ? SampleFormat::s24
                                           : SampleFormat::f32;
    std::string container = about.container;
    std::string codec = about.codec;
    if (container == "aac") {
      info_.format = AudioFormat::aac;
    } else if (codec == "flac" && container == "flac") {
      info_.format = AudioFormat::flac;
    }
    info_.description = codec + " in " + container;
  }
  FfmpegDecoder(const FfmpegDecoder&) = delete;
  FfmpegDecoder& operator=(const FfmpegDecoder&) = delete;
  ~FfmpegDecoder() override {
    api_.close_decoder(decoder_);
  }

  bool open() const {
    return decoder_ != nullptr;
  }

  size_t read(std::span<float> out) override {
    char error[MLX_AUDIO_FFMPEG_ERROR_SIZE] = "";
    size_t frames = out.size() / static_cast<size_t>(info_.channels);
    int n = api_.decode(
        decoder_,
        out.data(),
        static_cast<int>(std::min<size_t>(frames, 1 << 20)),
        error);
    rethrow();
    if (n < 0) {
      fail(error);
    }
    read_ += static_cast<uint64_t>(n);
    return static_cast<size_t>(n);
  }

  bool truncated() const override {
    // Containers round lengths, and some only estimate them.
    uint64_t declared = info_.frames.value_or(0);
    auto rate = static_cast<uint64_t>(info_.sample_rate);
    return read_ + declared / 50 + rate / 5 < declared;
  }

 private:
  [[noreturn]] void fail(const char* error) const {
    throw Error(
        ErrorKind::corrupt_data, source_.name() + " is unreadable: " + error);
  }

  void rethrow() const {
    if (failure_) {
      std::rethrow_exception(failure_);
    }
  }

  static int on_read(void* opaque, uint8_t* out, int size) {
    auto* self = static_cast<FfmpegDecoder*>(opaque);
    try {
      return static_cast<int>(
          self->source_.read({out, static_cast<size_t>(std::max(size, 0))}));
    } catch (...) {
      self->failure_ = std::current_exception();
      return -1;
    }
  }

  static int64_t on_seek(void* opaque, int64_t position) {
    auto* self = static_cast<FfmpegDecoder*>(opaque);
    self->source_.seek(
        static_cast<uint64_t>(position)); // checked by the module
    return position;
  }

  ByteSource& source_;
  const mlx_audio_ffmpeg_api& api_;
  mlx_audio_ffmpeg_decoder* decoder_ = nullptr;
  uint64_t read_ = 0;
  std::exception_ptr failure_;
};

class AacEncoder : public Encoder {
 public:
  AacEncoder(ByteSink& sink, int bitrate_kbps, int sample_rate, int channels)
      : sink_(sink),
        channels_(static_cast<size_t>(channels)),
        api_(ffmpeg_module("aac output")) {
    char error[MLX_AUDIO_FFMPEG_ERROR_SIZE] = "";
    encoder_ = api_.open_aac(
        sample_rate, channels, bitrate_kbps * 1000, on_write, this, error);
    if (encoder_ == nullptr) {
      throw Error(ErrorKind::unsupported, error);
    }
  }
  AacEncoder(const AacEncoder&) = delete;
  AacEncoder& operator=(const AacEncoder&) = delete;
  ~AacEncoder() override {
    api_.close_encoder(encoder_);
  }

  void write(std::span<const float> samples) override {
    if (!samples.empty()) {
      encode(samples.data(), samples.size() / channels_);
    }
  }

  void finish() override {
    encode(nullptr, 0);
  }

 private:
  void encode(const float* samples, size_t frames) {
    char error[MLX_AUDIO_FFMPEG_ERROR_SIZE] = "";
    int code = api_.encode(encoder_, samples, frames, error);
    if (failure_) {
      std::rethrow_exception(failure_);
    }
    if (code < 0) {
      throw Error(ErrorKind::internal, std::string("[aac] ") + error);
    }
  }

  static int on_write(void* opaque, const uint8_t* bytes, size_t size) {
    auto* self = static_cast<AacEncoder*>(opaque);
    try {
      self->sink_.write({bytes, size});
      return 0;
    } catch (...) {
      self->failure_ = std::current_exception();
      return -1;
    }
  }

  ByteSink& sink_;
  size_t channels_;
  const mlx_audio_ffmpeg_api& api_;
  mlx_audio_ffmpeg_encoder* encoder_ = nullptr;
  std::exception_ptr failure_;
};

} // namespace

std::unique_ptr<Decoder> make_ffmpeg_decoder(
    ByteSource& source,
    const std::string& what) {
  if (what == "unknown") {
    // Better to say that it is no audio than to ask for a module.
    try {
      ffmpeg_module(what);
    } catch (const Error&) {
      return nullptr;
    }
  }
  const auto& api = ffmpeg_module(what + " input");
  auto decoder = std::make_unique<FfmpegDecoder>(source, api);
  if (!decoder->open()) {
    source.seek(0);
    return nullptr;
  }
  check_info(decoder->info(), source.name());
  return decoder;
}

std::unique_ptr<Encoder> make_aac_encoder(
    ByteSink& sink,
    int bitrate_kbps,
    int sample_rate,
    int channels) {
  return std::make_unique<AacEncoder>(
      sink, bitrate_kbps, sample_rate, channels);
}

} // namespace mlx_audio::audio
