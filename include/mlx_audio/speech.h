// Text to speech.
//
//   auto model = mlx_audio::load_speech_model("kokoro");
//   auto stream = model->synthesize({.text = "Hello there."});
//   while (auto chunk = stream->next()) play(chunk->samples);
//
// A model and its streams belong to one thread: load, use and destroy them
// there.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mlx_audio/audio.h"

namespace mlx_audio {

/// How a model that samples tokens chooses them. What is absent is the
/// checkpoint's generation_config.json, else the model's default.
struct SpeechSampling {
  std::optional<float> temperature = {}; ///< 0..10; 0: always the likeliest
  std::optional<int> top_k = {}; ///< of the k likeliest; 0: of all
  std::optional<float> top_p = {}; ///< of the likeliest up to this sum, 0..1
  std::optional<float> min_p = {}; ///< not below this times the best, 0..1
  std::optional<float> repetition_penalty = {}; ///< 0.1..10; 1: none
  std::optional<int> max_tokens = {}; ///< frames at most, 1 or more
  std::optional<int> min_new_tokens = {}; ///< frames at least, 0 or more
  // The same for a frame's codes after the first (Qwen3-TTS's sub-talker). With
  // temperature 0 the sub-talker's default is 0 too.
  std::optional<float> subtalker_temperature = {};
  std::optional<int> subtalker_top_k = {};
  std::optional<float> subtalker_top_p = {};

  bool operator==(const SpeechSampling&) const = default;
};

/// Rates of speech that may be asked for, those of OpenAI's API.
inline constexpr float min_speed = 0.25f;
inline constexpr float max_speed = 4.0f;

/// A recording of a voice to imitate.
struct VoiceReference {
  Audio audio = {}; ///< any rate and channels, 0.3..60 s of speech
  std::string text = {}; ///< what is said in it, word for word
  /// Take the voice's timbre only (an x-vector), not its manner; needs no text.
  bool x_vector_only = false;
};

/// What to say and how. Each model documents the fields that it heeds; one that
/// it cannot heed and that is set is an error, never ignored.
struct SpeechRequest {
  /// UTF-8, of any length: it is split at sentences, then clauses, and spoken
  /// piece by piece. Required.
  std::string text = {};

  /// A voice of the model, or a mix: "af_heart+am_adam" in equal parts,
  /// "af_heart:0.7+bf_emma:0.3" weighted. Empty: the model's default for the
  /// language.
  std::string voice = {};

  /// "en-us", "en-gb", "es", "fr", "hi", "it", "pt-br", "ja", "zh" or Kokoro's
  /// letters. Empty: the voice's language.
  std::string language = {};

  /// Rate of speech, min_speed..max_speed; 2 is twice as fast.
  float speed = 1.0f;

  /// Makes the result reproducible on the same backend; absent: random.
  std::optional<uint64_t> seed = {};

  /// `text` is phonemes in the model's alphabet already.
  bool phonemes = false;

  /// Keep the first chunk short (a clause), so that sound starts early; later
  /// chunks grow.
  bool low_latency = false;

  // Models that follow instructions, imitate voices and sample tokens.

  /// Emotion and style ("very happy, fast"); for models that design voices the
  /// voice's description.
  std::string instruct = {};
  std::optional<VoiceReference> reference = {};
  SpeechSampling sampling = {};
  /// Read the whole text before speaking (true) or a token with each frame.
  /// Absent: what the checkpoint was made for.
  std::optional<bool> non_streaming_mode = {};
};

/// When a word is heard, in seconds from the start of the stream.
struct WordTime {
  std::string text = {};
  double start = 0;
  double end = 0;
};

enum class FinishReason {
  stop, ///< all of the text was spoken
  length, ///< a length limit cut it
  cancelled, ///< the caller stopped it
};
const char* to_string(FinishReason reason);

/// A piece of speech, in order and without gaps to the next.
struct SpeechChunk {
  std::vector<float> samples; ///< mono, nominally -1..1
  int sample_rate = 0; ///< Hz
  size_t text_begin = 0; ///< bytes of the request's text that are spoken
  size_t text_end = 0;
  std::string phonemes; ///< as spoken, if the model works on phonemes
  std::vector<WordTime> words; ///< if the model knows them
  std::optional<FinishReason> finish_reason = {}; ///< set on the last chunk
  std::string warning = {}; ///< one line for people; mostly empty
};

/// Speech as it is made; one chunk is computed per call.
class SpeechStream {
 public:
  virtual ~SpeechStream() = default;
  /// The next chunk, or nothing after the last. Throws Error.
  virtual std::optional<SpeechChunk> next() = 0;
  /// Ends the stream: the following next() gives nothing.
  virtual void stop() = 0;
};

struct VoiceInfo {
  std::string id; ///< e.g. "af_heart"
  std::string language; ///< e.g. "en-us"; empty if it speaks several
  std::string gender; ///< "female", "male" or empty
};

struct SpeechModelInfo {
  std::string architecture; ///< e.g. "kokoro"
  std::string path; ///< folder of the checkpoint
  int sample_rate = 0; ///< Hz
  std::string default_voice;
  std::vector<std::string> languages;
  uint64_t weight_bytes = 0; ///< size of the checkpoint's tensors
};

class SpeechModel {
 public:
  virtual ~SpeechModel() = default;
  virtual const SpeechModelInfo& info() const = 0;
  virtual std::vector<VoiceInfo> voices() const = 0;
  /// Checks the request (throws Error invalid_argument, unsupported) and
  /// starts.
  virtual std::unique_ptr<SpeechStream> synthesize(
      const SpeechRequest& request) = 0;
  /// The phonemes that would be spoken, one line a chunk, for models that work
  /// on phonemes; throws unsupported for others.
  virtual std::string phonemes(const SpeechRequest& request) = 0;
};

struct LoadOptions {
  /// "float32", "bfloat16", "float16"; empty: the checkpoint's.
  std::string dtype;
  /// Branch, tag or commit of a repository on the Hub.
  std::string revision;
};

/// @param model a folder, a short name ("kokoro"), or a repository id
/// @throws Error not_found, corrupt_data, unsupported
std::unique_ptr<SpeechModel> load_speech_model(
    const std::string& model,
    const LoadOptions& options = {});

} // namespace mlx_audio
