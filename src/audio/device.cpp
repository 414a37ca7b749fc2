#include "audio/device.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <portaudio.h>
#include <unistd.h>

#include <mutex>

#include "mlx_audio/error.h"

namespace mlx_audio::audio {

namespace {

/// The functions of libportaudio that are used.
struct PortAudio {
  decltype(&Pa_Initialize) initialize = nullptr;
  decltype(&Pa_GetErrorText) error_text = nullptr;
  decltype(&Pa_GetDeviceCount) device_count = nullptr;
  decltype(&Pa_GetDeviceInfo) device_info = nullptr;
  decltype(&Pa_GetDefaultOutputDevice) default_output = nullptr;
  decltype(&Pa_GetDefaultInputDevice) default_input = nullptr;
  decltype(&Pa_OpenStream) open = nullptr;
  decltype(&Pa_StartStream) start = nullptr;
  decltype(&Pa_StopStream) stop = nullptr;
  decltype(&Pa_AbortStream) abort = nullptr;
  decltype(&Pa_CloseStream) close = nullptr;
  decltype(&Pa_WriteStream) write = nullptr;
  decltype(&Pa_ReadStream) read = nullptr;
};

/// ALSA's probing of absent devices writes pages to standard error.
class QuietStderr {
 public:
  QuietStderr() : saved_(::dup(STDERR_FILENO)) {
    int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null >= 0) {
      ::dup2(null, STDERR_FILENO);
      ::close(null);
    }
  }
  QuietStderr(const QuietStderr&) = delete;
  QuietStderr& operator=(const QuietStderr&) = delete;
  ~QuietStderr() {
    if (saved_ >= 0) {
      ::dup2(saved_, STDERR_FILENO);
      ::close(saved_);
    }
  }

 private:
  int saved_;
};

const PortAudio& load_portaudio() {
  static std::mutex mutex;
  static PortAudio pa;
  static bool ready = false;
  std::lock_guard lock(mutex);
  if (ready) {
    return pa;
  }
  void* library = nullptr;
  for (const char* name : {"libportaudio.so.2", "libportaudio.2.dylib"}) {
    if (library == nullptr) {
      library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    }
  }
  if (library == nullptr) {
    throw Error(
        ErrorKind::unavailable,
        "playing and recording need PortAudio, which is not installed",
        "On Debian: apt-get install libportaudio2");
  }
  bool complete = true;
  auto bind = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(
        dlsym(library, name));
    complete = complete && function != nullptr;
  };
  bind(pa.initialize, "Pa_Initialize");
  bind(pa.error_text, "Pa_GetErrorText");
  bind(pa.device_count, "Pa_GetDeviceCount");
  bind(pa.device_info, "Pa_GetDeviceInfo");
  bind(pa.default_output, "Pa_GetDefaultOutputDevice");
  bind(pa.default_input, "Pa_GetDefaultInputDevice");
  bind(pa.open, "Pa_OpenStream");
  bind(pa.start, "Pa_StartStream");
  bind(pa.stop, "Pa_StopStream");
  bind(pa.abort, "Pa_AbortStream");
  bind(pa.close, "Pa_CloseStream");
  bind(pa.write, "Pa_WriteStream");
  bind(pa.read, "Pa_ReadStream");
  PaError error = paNoError;
  if (complete) {
    QuietStderr quiet;
    error = pa.initialize();
  }
  if (!complete || error != paNoError) {
    throw Error(
        ErrorKind::unavailable,
        std::string("PortAudio does not start: ") +
            (complete ? pa.error_text(error) : "the library is too old"));
  }
  ready = true;
  return pa;
}

enum class Direction { play, record };

/// A blocking stream of float samples.
class Stream {
 public:
  Stream(Direction direction, int sample_rate, int channels, int device)
      : pa_(load_portaudio()),
        sample_rate_(sample_rate),
        channels_(static_cast<size_t>(channels)) {
    bool play = direction == Direction::play;
    int chosen = device >= 0 ? device
        : play               ? pa_.default_output()
                             : pa_.default_input();
    const PaDeviceInfo* about = chosen >= 0 && chosen < pa_.device_count()
        ? pa_.device_info(chosen)
        : nullptr;
    if (about == nullptr) {
      std::string kind = play ? "playback" : "recording";
      throw Error(
          ErrorKind::unavailable,
          device >= 0 ? "there is no sound device " + std::to_string(device)
                      : "this machine has no " + kind + " device",
          play ? "Write to a file instead." : "Read from a file or a pipe.");
    }
    PaStreamParameters parameters{};
    parameters.device = chosen;
    parameters.channelCount = channels;
    parameters.sampleFormat = paFloat32;
    parameters.suggestedLatency =
        play ? about->defaultHighOutputLatency : about->defaultHighInputLatency;
    QuietStderr quiet;
    auto open = [&] {
      return pa_.open(
          &stream_,
          play ? nullptr : &parameters,
          play ? &parameters : nullptr,
          sample_rate_,
          paFramesPerBufferUnspecified,
          paNoFlag,
          nullptr,
          nullptr);
    };
    PaError error = open();
    if (!play && error == paInvalidSampleRate) {
      sample_rate_ = static_cast<int>(about->defaultSampleRate);
      error = open();
    }
    if (error == paInvalidSampleRate || error == paInvalidChannelCount) {
      throw Error(
          ErrorKind::invalid_argument,
          std::string("'") + about->name + "' cannot have " +
              std::to_string(sample_rate) + " Hz and " +
              std::to_string(channels) + " channels");
    }
    check(error);
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() {
    if (stream_ != nullptr) {
      pa_.close(stream_);
    }
  }

  int sample_rate() const {
    return sample_rate_;
  }

  void start() {
    if (!running_) {
      check(pa_.start(stream_));
      running_ = true;
    }
  }

  /// Waits for the end of what was written, or drops it.
  void end(bool wait) {
    if (running_) {
      running_ = false;
      check(wait ? pa_.stop(stream_) : pa_.abort(stream_));
    }
  }

  void write(std::span<const float> samples) {
    whole(samples.size());
    start();
    PaError error =
        pa_.write(stream_, samples.data(), samples.size() / channels_);
    if (error != paOutputUnderflowed) {
      check(error);
    }
  }

  bool read(std::span<float> samples) {
    whole(samples.size());
    start();
    PaError error =
        pa_.read(stream_, samples.data(), samples.size() / channels_);
    if (error == paInputOverflowed) {
      return false;
    }
    check(error);
    return true;
  }

 private:
  void whole(size_t samples) const {
    if (samples % channels_ != 0) {
      throw Error(ErrorKind::invalid_argument, "[device] not whole frames");
    }
  }

  void check(PaError error) const {
    if (error != paNoError) {
      throw Error(
          ErrorKind::unavailable,
          std::string("the sound device fails: ") + pa_.error_text(error));
    }
  }

  const PortAudio& pa_;
  int sample_rate_;
  size_t channels_;
  PaStream* stream_ = nullptr;
  bool running_ = false;
};

} // namespace

std::vector<DeviceInfo> list_devices() {
  const PortAudio& pa = load_portaudio();
  std::vector<DeviceInfo> devices;
  for (int i = 0; i < pa.device_count(); ++i) {
    if (const PaDeviceInfo* about = pa.device_info(i)) {
      devices.push_back(
          {i, about->name, about->maxOutputChannels, about->maxInputChannels});
    }
  }
  return devices;
}

struct AudioPlayer::State {
  Stream stream;
};

AudioPlayer::AudioPlayer(int sample_rate, int channels, int device)
    : state_(new State{{Direction::play, sample_rate, channels, device}}) {}
AudioPlayer::~AudioPlayer() = default;
AudioPlayer::AudioPlayer(AudioPlayer&&) noexcept = default;
AudioPlayer& AudioPlayer::operator=(AudioPlayer&&) noexcept = default;

void AudioPlayer::write(std::span<const float> samples) {
  state_->stream.write(samples);
}

void AudioPlayer::drain() {
  state_->stream.end(true);
}

void AudioPlayer::stop() {
  state_->stream.end(false);
}

struct AudioRecorder::State {
  Stream stream;
};

AudioRecorder::AudioRecorder(int sample_rate, int channels, int device)
    : state_(new State{{Direction::record, sample_rate, channels, device}}) {}
AudioRecorder::~AudioRecorder() = default;
AudioRecorder::AudioRecorder(AudioRecorder&&) noexcept = default;
AudioRecorder& AudioRecorder::operator=(AudioRecorder&&) noexcept = default;

int AudioRecorder::sample_rate() const {
  return state_->stream.sample_rate();
}

bool AudioRecorder::read(std::span<float> samples) {
  return state_->stream.read(samples);
}

void AudioRecorder::stop() {
  state_->stream.end(false);
}

} // namespace mlx_audio::audio
