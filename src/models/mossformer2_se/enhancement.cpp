#include "mlx_audio/enhancement.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "kernels/cpu_op.h"
#include "mlx_audio/error.h"
#include "models/mossformer2_se/model.h"
#include "models/mossformer2_se/segmenter.h"

namespace mlx_audio {

using mossformer2_se::Config;
using mossformer2_se::Model;
using mossformer2_se::Segmenter;
using mossformer2_se::SegmentPlan;

namespace {

constexpr double kLiveFadeSeconds = 0.03;
constexpr double kResamplerSeconds = 0.05; // that a resampler holds back

void expect_range(const char* name, double value, double low, double high) {
  if (!(value >= low && value <= high)) {
    auto text = [](double v) {
      auto s = std::to_string(v);
      s.erase(s.find_last_not_of('0') + 1);
      return s.back() == '.' ? s.substr(0, s.size() - 1) : s;
    };
    throw Error(
        ErrorKind::invalid_argument,
        std::string(name) + " is " + text(value),
        "use " + text(low) + " to " + text(high));
  }
}

SegmentPlan make_plan(const Config& c, const EnhancementOptions& o) {
  auto samples = [&](double seconds) {
    return static_cast<int64_t>(std::llround(seconds * c.sample_rate));
  };
  SegmentPlan p;
  p.mode = o.segments;
  if (o.live) {
    if (o.segments != Segments::crossfade) {
      throw Error(
          ErrorKind::invalid_argument,
          "a live stream takes no other segments than crossfade");
    }
    expect_range("hop_seconds", o.hop_seconds, 0.05, 10);
    expect_range("lookahead_seconds", o.lookahead_seconds, 0.05, 5);
    double delay = o.hop_seconds + o.lookahead_seconds + kLiveFadeSeconds;
    double window = o.window_seconds > 0 ? o.window_seconds
                                         : std::max(c.segment_seconds, delay);
    expect_range("window_seconds", window, delay, 120);
    p.fade = samples(kLiveFadeSeconds);
    p.lookahead = samples(o.lookahead_seconds);
    p.step = samples(o.hop_seconds);
    p.first = p.step + p.lookahead + p.fade;
    p.window = std::max(samples(window), p.first);
    return p;
  }
  if (o.segments == Segments::crossfade) {
    double window = o.window_seconds > 0 ? o.window_seconds : c.whole_seconds;
    expect_range("window_seconds", window, 0.5, 120);
    double overlap = std::min(o.overlap_seconds, window / 2);
    expect_range("overlap_seconds", overlap, 0.2, 60);
    p.window = p.first = samples(window);
    p.step = p.window - samples(overlap);
    p.lookahead = samples(overlap / 4);
    p.fade = samples(overlap / 2);
  } else if (o.segments == Segments::original) {
    p.first = samples(c.whole_seconds);
    p.window = static_cast<int64_t>(c.sample_rate * c.segment_seconds);
    p.step = static_cast<int64_t>(static_cast<double>(p.window) * 0.75);
    p.drop = (p.window - p.step) / 2;
  } else if (o.segments == Segments::chunked) {
    p.window = static_cast<int64_t>(c.sample_rate * c.chunk_seconds);
    auto overlap =
        static_cast<int64_t>(static_cast<double>(p.window) * c.chunk_overlap);
    p.first = p.window;
    p.step = p.window - overlap;
    p.drop = overlap / 2;
  }
  return p;
}

int64_t scaled(int64_t frames, int from, int to) {
  return std::llround(static_cast<double>(frames) * to / from);
}

} // namespace

Segments parse_segments(std::string_view name) {
  if (name == "crossfade" || name == "auto") {
    return Segments::crossfade;
  }
  if (name == "original") {
    return Segments::original;
  }
  if (name == "chunked") {
    return Segments::chunked;
  }
  if (name == "whole") {
    return Segments::whole;
  }
  throw Error(
      ErrorKind::invalid_argument,
      "unknown segments '" + std::string(name) + "'",
      "use crossfade, original, chunked or whole");
}

struct Enhancer::State {
  Model model;
};

struct EnhancementSession::State {
  std::shared_ptr<const Enhancer::State> enhancer;
  EnhancementOptions options;
  SegmentPlan plan;
  int input_rate;
  int output_rate;
  int channels;
  std::optional<Resampler> in = {};
  std::optional<Resampler> out = {};
  std::vector<Model::Noise> noise = {}; // of each channel
  std::vector<Segmenter> segmenters = {};
  std::vector<float> dry = {}; // input at the model's rate, not yet given back
  int64_t frames_in = 0;
  int64_t frames_out = 0;
  bool closed = false;
  bool finished = false;
  // Scratch, kept to spare allocations.
  std::vector<float> resampled = {};
  std::vector<float> enhanced = {};
  std::vector<std::vector<float>> planes = {};

  int model_rate() const {
    return enhancer->model.config().sample_rate;
  }

  void feed_model(std::span<const float> samples) {
    if (options.mix > 0) {
      dry.insert(dry.end(), samples.begin(), samples.end());
    }
    auto width = static_cast<size_t>(channels);
    std::vector<float> plane(samples.size() / width);
    for (size_t c = 0; c < width; ++c) {
      for (size_t i = 0; i < plane.size(); ++i) {
        plane[i] = samples[i * width + c];
      }
      segmenters[c].feed(plane);
    }
  }

  // Cuts or pads the end so that the result is as long as the input.
  void append(std::vector<float>& to, const std::vector<float>& samples) {
    auto width = static_cast<int64_t>(channels);
    int64_t limit = scaled(frames_in, input_rate, output_rate) - frames_out;
    int64_t count = static_cast<int64_t>(samples.size()) / width;
    if (closed) {
      count = std::min(count, limit);
    }
    to.insert(
        to.end(),
        samples.begin(),
        samples.begin() + static_cast<ptrdiff_t>(count * width));
    frames_out += count;
    if (finished) {
      to.insert(to.end(), static_cast<size_t>((limit - count) * width), 0.0f);
      frames_out += limit - count;
    }
  }
};

Enhancer Enhancer::load(
    const std::string& folder,
    const EnhancerOptions& options /* = {} */) {
  kernels::keep_freed_memory();
  Enhancer enhancer;
  enhancer.state_ =
      std::make_shared<const State>(State{Model::load(folder, options.dtype)});
  return enhancer;
}

int Enhancer::sample_rate() const {
  return state_->model.config().sample_rate;
}

EnhancementSession Enhancer::session(
    int sample_rate,
    int channels,
    const EnhancementOptions& options /* = {} */) const {
  expect_range("sample rate", sample_rate, 1000, 768000);
  expect_range("number of channels", channels, 1, 64);
  expect_range("mix", static_cast<double>(options.mix), 0, 1);
  expect_range("dither", static_cast<double>(options.dither), 0, 16);
  int model_rate = state_->model.config().sample_rate;
  int output_rate = options.sample_rate.value_or(model_rate);
  if (output_rate == 0) {
    output_rate = sample_rate;
  }
  expect_range("output sample rate", output_rate, 1000, 768000);
  auto s =
      std::make_unique<EnhancementSession::State>(EnhancementSession::State{
          .enhancer = state_,
          .options = options,
          .plan = make_plan(state_->model.config(), options),
          .input_rate = sample_rate,
          .output_rate = output_rate,
          .channels = channels});
  if (sample_rate != model_rate) {
    s->in.emplace(sample_rate, model_rate, channels);
  }
  if (output_rate != model_rate) {
    s->out.emplace(model_rate, output_rate, channels);
  }
  auto width = static_cast<size_t>(channels);
  s->noise.resize(width);
  s->planes.resize(width);
  for (size_t c = 0; c < width; ++c) {
    s->noise[c].amplitude = options.dither;
    s->noise[c].generator.seed(options.seed + c);
    s->segmenters.emplace_back(
        s->plan,
        [state = s->enhancer, noise = &s->noise[c]](
            std::span<const float> x, mossformer2_se::Frontend::Ends ends) {
          return state->model.enhance(x, *noise, ends);
        });
  }
  return EnhancementSession(std::move(s));
}

Audio Enhancer::enhance(
    const Audio& audio,
    const EnhancementOptions& options /* = {} */) const {
  auto work = session(audio.sample_rate, audio.channels, options);
  work.feed(audio.samples);
  work.close();
  Audio result;
  result.sample_rate = work.sample_rate();
  result.channels = audio.channels;
  while (work.step(result.samples)) {
  }
  return result;
}

void Enhancer::dump(const Audio& audio, const std::string& folder) const {
  auto mono = resample(mix_to_mono(audio), sample_rate());
  std::filesystem::create_directories(folder);
  std::ofstream shapes(std::filesystem::path(folder) / "shapes.txt");
  for (const auto& [name, tensor] : state_->model.taps(mono.samples)) {
    auto x = mlx::core::contiguous(tensor);
    mlx::core::eval(x);
    std::ofstream out(
        std::filesystem::path(folder) / (name + ".f32"), std::ios::binary);
    out.write(
        reinterpret_cast<const char*>(x.data<float>()),
        static_cast<std::streamsize>(x.nbytes()));
    shapes << name << ' ' << x.shape(0) << ' ' << x.shape(1) << '\n';
    if (!out) {
      throw Error(
          ErrorKind::io, "cannot write '" + name + "' in '" + folder + "'");
    }
  }
}

EnhancementSession::EnhancementSession(std::unique_ptr<State> state)
    : state_(std::move(state)) {}
EnhancementSession::~EnhancementSession() = default;
EnhancementSession::EnhancementSession(EnhancementSession&&) noexcept = default;
EnhancementSession& EnhancementSession::operator=(
    EnhancementSession&&) noexcept = default;

void EnhancementSession::feed(std::span<const float> samples) {
  State& s = *state_;
  if (s.closed || samples.size() % static_cast<size_t>(s.channels) != 0) {
    throw Error(
        ErrorKind::invalid_argument,
        s.closed ? "samples after the end of the stream"
                 : std::to_string(samples.size()) +
                " samples are no whole frames of " +
                std::to_string(s.channels) + " channels");
  }
  for (size_t i = 0; i < samples.size(); ++i) {
    if (!std::isfinite(samples[i])) {
      throw Error(
          ErrorKind::invalid_argument,
          "sample " +
              std::to_string(
                  static_cast<uint64_t>(s.frames_in) *
                      static_cast<uint64_t>(s.channels) +
                  i) +
              " is not a finite number",
          "is the file damaged?");
    }
  }
  s.frames_in += static_cast<int64_t>(samples.size()) / s.channels;
  if (s.in) {
    s.resampled.clear();
    s.in->process(samples, s.resampled);
    s.feed_model(s.resampled);
  } else {
    s.feed_model(samples);
  }
}

void EnhancementSession::close() {
  State& s = *state_;
  if (s.closed) {
    return;
  }
  if (s.frames_in == 0) {
    throw Error(
        ErrorKind::invalid_argument,
        "the audio is empty",
        "give at least one sample");
  }
  if (s.in) {
    s.resampled.clear();
    s.in->flush(s.resampled);
    s.feed_model(s.resampled);
  }
  s.closed = true;
  for (auto& segmenter : s.segmenters) {
    segmenter.close();
  }
}

bool EnhancementSession::step(std::vector<float>& out) {
  State& s = *state_;
  if (s.finished) {
    return false;
  }
  bool worked = s.segmenters[0].received() > 0;
  auto width = static_cast<size_t>(s.channels);
  for (size_t c = 0; c < width && worked; ++c) {
    s.planes[c].clear();
    worked = s.segmenters[c].step(s.planes[c]);
  }
  if (!worked) {
    if (!s.closed) {
      return false;
    }
    s.finished = true;
    s.enhanced.clear();
    if (s.out) {
      s.out->flush(s.enhanced);
    }
    s.append(out, s.enhanced);
    return true;
  }
  size_t frames = s.planes[0].size();
  s.enhanced.resize(frames * width);
  for (size_t c = 0; c < width; ++c) {
    for (size_t i = 0; i < frames; ++i) {
      s.enhanced[i * width + c] = s.planes[c][i];
    }
  }
  if (s.options.mix > 0) {
    for (size_t i = 0; i < s.enhanced.size(); ++i) {
      s.enhanced[i] += s.options.mix * (s.dry[i] - s.enhanced[i]);
    }
    s.dry.erase(
        s.dry.begin(),
        s.dry.begin() + static_cast<ptrdiff_t>(s.enhanced.size()));
  }
  if (s.out) {
    s.resampled.clear();
    s.out->process(s.enhanced, s.resampled);
    s.append(out, s.resampled);
  } else {
    s.append(out, s.enhanced);
  }
  return true;
}

int EnhancementSession::sample_rate() const {
  return state_->output_rate;
}

int EnhancementSession::channels() const {
  return state_->channels;
}

double EnhancementSession::latency_seconds() const {
  const State& s = *state_;
  auto samples = s.plan.step + s.plan.lookahead + s.plan.fade;
  if (!s.options.live) {
    samples = s.plan.window + s.plan.step;
  }
  return static_cast<double>(samples + 1) / s.model_rate() +
      (s.in ? kResamplerSeconds : 0) + (s.out ? kResamplerSeconds : 0);
}

void enhance_stream(
    const std::function<std::span<const float>()>& read,
    EnhancementSession& session,
    const std::function<void(std::span<const float>)>& write) {
  std::vector<float> ready;
  auto run = [&] {
    while (session.step(ready)) {
      if (!ready.empty()) {
        write(ready);
        ready.clear();
      }
    }
  };
  for (auto some = read(); !some.empty(); some = read()) {
    session.feed(some);
    run();
  }
  session.close();
  run();
}

void enhance_stream(
    AudioReader& in,
    EnhancementSession& session,
    AudioWriter& out,
    const std::function<void(double)>& progress /* = {} */) {
  constexpr size_t kFrames = 1 << 15;
  auto width = static_cast<size_t>(in.channels());
  std::vector<float> block(kFrames * width);
  double frames = 0;
  enhance_stream(
      [&] {
        if (progress && frames > 0) {
          progress(frames / in.sample_rate());
        }
        size_t count = in.read(block);
        frames += static_cast<double>(count);
        return std::span<const float>(block).first(count * width);
      },
      session,
      [&](std::span<const float> samples) {
        out.write(samples);
        out.flush();
      });
}

} // namespace mlx_audio
