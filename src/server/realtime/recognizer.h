// What a realtime session hears with. Everything here belongs to the engine's
// thread; tests put their own in its place.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "mlx_audio/engine.h"
#include "server/realtime/session_config.h"

namespace mlx_audio::server {

/// Text of an utterance that is new.
struct Heard {
  std::string text; ///< final; appended to what came before
  std::vector<TranscribedWord> words; ///< of the text, where they are known
  std::vector<TranscriptionSegment> segments; ///< that ended
  std::string pending; ///< after the text; may still change
};

/// One stretch of speech.
class Utterance {
 public:
  virtual ~Utterance() = default;
  /// 16 kHz, mono.
  virtual void feed(std::span<const float> samples) = 0;
  /// No more comes.
  virtual void finish() = 0;
  /// Seconds of new sound that make a step worth while.
  virtual double step_seconds() const = 0;
  /// Computes a chunk. Nothing once all is said after finish().
  virtual std::optional<Heard> step() = 0;
  /// Code; empty while it is not known.
  virtual std::string language() const = 0;
};

class Hearing {
 public:
  virtual ~Hearing() = default;
  /// @param live text comes while sound does; else all of it is there before
  ///   the first step.
  virtual std::unique_ptr<Utterance> utterance(
      const TranscriptionSettings& settings,
      bool live,
      bool word_probabilities) = 0;
  /// How likely each 512 samples that these complete are speech.
  virtual std::vector<float> speech(std::span<const float> samples) = 0;
  /// Forgets the sound before, for speech() and clean().
  virtual void reset() = 0;
  /// Takes noise out; comes later than it goes in, but no sample is lost.
  virtual std::vector<float> clean(
      std::span<const float> samples,
      const NoiseReduction& how) = 0;
  /// What clean() still holds.
  virtual std::vector<float> clean_rest() = 0;
};

/// @param enhancer may be nullptr: clean() then throws.
std::unique_ptr<Hearing> make_hearing(
    TranscriptionModel& model,
    const Enhancer* enhancer);

} // namespace mlx_audio::server
