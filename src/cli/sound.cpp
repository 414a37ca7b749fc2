#include "cli/sound.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "audio/device.h"

namespace mlx_audio::cli {

namespace {

std::atomic<bool> stop_asked = false;
using SignalHandler = void (*)(int);
SignalHandler on_interrupt = SIG_DFL;
SignalHandler on_terminate = SIG_DFL;

void forget_wish() {
  std::signal(SIGINT, on_interrupt);
  std::signal(SIGTERM, on_terminate);
}

extern "C" void ask_to_stop(int /* signal */) {
  stop_asked = true;
  forget_wish();
}

// Turns the first signal to end into a wish.
class StopWish {
 public:
  StopWish() {
    stop_asked = false;
    on_interrupt = std::signal(SIGINT, ask_to_stop);
    on_terminate = std::signal(SIGTERM, ask_to_stop);
  }
  ~StopWish() {
    forget_wish();
  }
  StopWish(const StopWish&) = delete;
  StopWish& operator=(const StopWish&) = delete;
};

// Samples between two threads. Either side ends it, with an error or without.
class Pipe {
 public:
  explicit Pipe(size_t most) : most_(most) {}

  /// Waits while it is full; false once it has ended.
  bool push(std::span<const float> samples) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return samples_.size() < most_ || ended_; });
    if (ended_) {
      return false;
    }
    samples_.insert(samples_.end(), samples.begin(), samples.end());
    changed_.notify_all();
    return true;
  }
  /// Up to `count` samples, whatever is there; waits for some. Nothing once it
  /// has ended and all is taken.
  std::vector<float> pull(size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !samples_.empty() || ended_; });
    auto end = samples_.begin() +
        static_cast<std::ptrdiff_t>(std::min(count, samples_.size()));
    std::vector<float> some(samples_.begin(), end);
    samples_.erase(samples_.begin(), end);
    changed_.notify_all();
    return some;
  }
  void end(std::exception_ptr error = nullptr) {
    std::lock_guard lock(mutex_);
    ended_ = true;
    error_ = error_ ? error_ : std::move(error);
    changed_.notify_all();
  }
  void drop() {
    std::lock_guard lock(mutex_);
    samples_.clear();
  }
  void check() const {
    std::lock_guard lock(mutex_);
    if (error_) {
      std::rethrow_exception(error_);
    }
  }

 private:
  size_t most_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<float> samples_;
  bool ended_ = false;
  std::exception_ptr error_;
};

size_t samples_in(double seconds, int sample_rate, int channels) {
  return static_cast<size_t>(seconds * sample_rate) *
      static_cast<size_t>(channels);
}

// Beyond this the device itself drops what it hears.
constexpr double kMostRecorded = 30; // seconds
constexpr double kMostUnplayed = 2; // seconds
constexpr double kBlock = 0.05; // seconds

} // namespace

struct Microphone::State {
  State(int sample_rate, int channels, int device)
      : recorder(sample_rate, channels, device),
        resampler(recorder.sample_rate(), sample_rate, channels),
        pipe(samples_in(kMostRecorded, sample_rate, channels)),
        block(samples_in(kBlock, recorder.sample_rate(), channels)),
        thread([this] { record(); }) {}
  ~State() {
    pipe.end();
    thread.join();
  }

  void record() {
    try {
      for (bool last = false; !last;) {
        if (!recorder.read(block)) {
          lost = true;
        }
        last = stop_asked;
        at_rate.clear();
        resampler.process(block, at_rate);
        if (last) {
          resampler.flush(at_rate);
        }
        last = !pipe.push(at_rate) || last;
      }
      pipe.end();
    } catch (...) {
      pipe.end(std::current_exception());
    }
  }

  StopWish wish;
  audio::AudioRecorder recorder;
  Resampler resampler;
  Pipe pipe;
  std::vector<float> block;
  std::vector<float> at_rate;
  std::vector<float> taken;
  std::atomic<bool> lost = false;
  std::thread thread;
};

Microphone::Microphone(int sample_rate, int channels, int device)
    : state_(std::make_unique<State>(sample_rate, channels, device)) {}
Microphone::~Microphone() = default;

std::span<const float> Microphone::read() {
  state_->taken = state_->pipe.pull(SIZE_MAX);
  if (state_->taken.empty()) {
    state_->pipe.check();
  }
  return state_->taken;
}

bool Microphone::lost() const {
  return state_->lost;
}

SoundInput::SoundInput(
    const std::string& path,
    const ReadAudioOptions& reading,
    double block)
    : reader_(std::in_place, path, reading) {
  sample_rate_ = reader_->sample_rate();
  channels_ = reader_->channels();
  block_.resize(samples_in(block, sample_rate_, channels_));
}

SoundInput::SoundInput(int sample_rate, int device)
    : sample_rate_(sample_rate),
      channels_(1),
      microphone_(std::in_place, sample_rate_, channels_, device) {}

int SoundInput::sample_rate() const {
  return sample_rate_;
}

int SoundInput::channels() const {
  return channels_;
}

SampleFormat SoundInput::sample_format() const {
  return reader_ ? reader_->info().sample_format : SampleFormat::s16;
}

double SoundInput::seconds() const {
  return reader_ ? static_cast<double>(reader_->info().frames.value_or(0)) /
          reader_->info().sample_rate
                 : 0;
}

std::span<const float> SoundInput::read() {
  if (microphone_) {
    return microphone_->read();
  }
  size_t frames = reader_->read(block_);
  return std::span(block_).first(frames * static_cast<size_t>(channels_));
}

std::string SoundInput::warning() const {
  if (reader_) {
    return reader_->warning();
  }
  return microphone_->lost() ? "some sound was lost: the model is too slow"
                             : "";
}

struct Loudspeaker::State {
  State(int sample_rate, int channels, double lead)
      : player(sample_rate, channels),
        pipe(samples_in(kMostUnplayed, sample_rate, channels)),
        silence(samples_in(lead, sample_rate, channels)),
        block(samples_in(kBlock, sample_rate, channels)),
        thread([this] { play(); }) {}
  ~State() {
    pipe.end();
    pipe.drop();
    if (thread.joinable()) {
      thread.join();
    }
  }

  void play() {
    try {
      for (auto some = pipe.pull(block); !some.empty();
           some = pipe.pull(block)) {
        if (!silence.empty()) {
          player.write(silence);
          silence.clear();
        }
        player.write(some);
      }
    } catch (...) {
      pipe.end(std::current_exception());
    }
  }

  audio::AudioPlayer player;
  Pipe pipe;
  std::vector<float> silence;
  size_t block; // samples, so that it ends soon
  std::thread thread;
};

Loudspeaker::Loudspeaker(int sample_rate, int channels, double lead)
    : state_(std::make_unique<State>(sample_rate, channels, lead)) {}
Loudspeaker::~Loudspeaker() = default;

void Loudspeaker::write(std::span<const float> samples) {
  if (!state_->pipe.push(samples)) {
    state_->pipe.check();
  }
}

void Loudspeaker::drain() {
  state_->pipe.end();
  state_->thread.join();
  state_->pipe.check();
  state_->player.drain();
}

} // namespace mlx_audio::cli
