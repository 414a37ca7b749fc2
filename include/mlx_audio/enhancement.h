// Speech enhancement: noise and reverberation out, speech kept. Samples are
// float, nominally -1..1, interleaved by channel; each channel is enhanced by
// itself. Models: MossFormer2 SE (48 kHz).
//
// A session and its enhancer belong to the thread that made the enhancer.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mlx_audio/audio.h"

namespace mlx_audio {

/// How a signal that is longer than one window is cut.
enum class Segments {
  /// Windows with an overlap that is cross-faded; a signal of at most one
  /// window is enhanced whole.
  crossfade,
  /// As upstream's own program: whole up to its limit (20 s), else windows of 4
  /// s by steps of 3 s, cut together; what upstream leaves at zero stays zero.
  original,
  /// As mlx-audio's chunked mode: chunks of 4 s whose edges are dropped.
  chunked,
  /// The whole signal at once; memory grows with its length.
  whole,
};

/// "crossfade", "original", "chunked" or "whole". Throws invalid_argument.
Segments parse_segments(std::string_view name);

struct EnhancementOptions {
  Segments segments = Segments::crossfade;
  /// Length of a window [s], 0.5..120; 0 is the model's (20 s; 4 s live).
  /// `original` and `chunked` have their own.
  double window_seconds = 0;
  /// Share of two neighbouring windows [s], 0.2..window / 2; its middle half is
  /// cross-faded.
  double overlap_seconds = 1;
  /// How much of the original stays: 0 (none) .. 1 (all).
  float mix = 0;
  /// Amplitude of the noise that features get, in 16-bit steps: 0..16. Upstream
  /// uses 1, which makes results differ from run to run by about that much.
  float dither = 0;
  uint64_t seed = 0; ///< Of the dither.
  /// Rate of the result [Hz]; nothing keeps the model's, 0 the input's.
  std::optional<int> sample_rate = {};

  /// Live mode: a window is enhanced each `hop_seconds` of input, with as much
  /// past as `window_seconds` holds, so that no sample waits for longer than
  /// latency_seconds(). Excludes other `segments` than crossfade.
  bool live = false;
  double hop_seconds = 0.5; ///< 0.05..10, live only.
  double lookahead_seconds = 0.2; ///< 0.05..5: future that a sample sees, live.
};

struct EnhancerOptions {
  /// "float32", "bfloat16" or "float16" for the linear layers; empty is the
  /// checkpoint's own.
  std::string dtype = {};
};

class EnhancementSession;

/// A loaded model. Copies share it.
class Enhancer {
 public:
  /// Opens a folder with config.json and safetensors. Throws not_found,
  /// corrupt_data (it names the tensor or field), unsupported (another model).
  static Enhancer load(
      const std::string& folder,
      const EnhancerOptions& options = {});

  /// The rate [Hz] at which the model works.
  int sample_rate() const;

  /// The whole signal. Throws invalid_argument for an empty signal, an option
  /// out of range, or a sample that is not finite.
  Audio enhance(const Audio& audio, const EnhancementOptions& options = {})
      const;

  /// A signal that arrives in pieces, at flat memory.
  EnhancementSession session(
      int sample_rate,
      int channels,
      const EnhancementOptions& options = {}) const;

  /// Features, mask and network blocks of a mono signal at the model's rate, as
  /// files DIR/<name>.f32 with rows of floats and DIR/shapes.txt.
  void dump(const Audio& audio, const std::string& folder) const;

 private:
  friend class EnhancementSession;
  struct State;
  std::shared_ptr<const State> state_;
};

/// feed(), then step() until it returns false, again and again; close() at the
/// end, then step() until it returns false.
class EnhancementSession {
 public:
  ~EnhancementSession();
  EnhancementSession(EnhancementSession&&) noexcept;
  EnhancementSession& operator=(EnhancementSession&&) noexcept;

  /// Interleaved whole frames. Only copies; throws invalid_argument that gives
  /// the index of a sample that is not finite.
  void feed(std::span<const float> samples);
  /// No more input follows. Throws invalid_argument if there was none.
  void close();
  /// Enhances at most one window and appends what is ready to `out`,
  /// interleaved. False if it needs more input, or all is done.
  bool step(std::vector<float>& out);

  /// Rate of what step() gives [Hz].
  int sample_rate() const;
  int channels() const;
  /// Longest time [s] of input that must follow a sample before its result can
  /// be given: the stated latency, less computing.
  double latency_seconds() const;

 private:
  friend class Enhancer;
  struct State;
  explicit EnhancementSession(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// Enhances what `read` gives, interleaved whole frames until there are none,
/// and hands results to `write` as they come.
void enhance_stream(
    const std::function<std::span<const float>()>& read,
    EnhancementSession& session,
    const std::function<void(std::span<const float>)>& write);

/// Reads all of `in`, enhances it and writes it to `out`, which must have
/// session.sample_rate() and the reader's channels, but does not finish it.
/// `progress` gets the seconds of input that were read.
void enhance_stream(
    AudioReader& in,
    EnhancementSession& session,
    AudioWriter& out,
    const std::function<void(double)>& progress = {});

} // namespace mlx_audio
