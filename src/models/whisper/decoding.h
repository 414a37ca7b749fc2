// From one batch of windows to tokens: the rules of OpenAI's decoding.py, with
// greedy search, sampling and beam search.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "models/whisper/model.h"
#include "models/whisper/tokenizer.h"

namespace mlx_audio::whisper {

struct DecodeOptions {
  std::string language = "en";
  Task task = Task::transcribe;
  double temperature = 0; ///< 0 takes the likeliest token
  int best_of = 1; ///< samples of which the best is kept, at temperature > 0
  int beam_size = 1; ///< 1 is greedy; only at temperature 0
  double patience = 1; ///< beam search ends with beam_size x patience results
  std::optional<double> length_penalty; ///< 0..1; nothing: mean log-probability
  std::vector<int> prompt; ///< tokens of what came before
  std::vector<int> hotwords; ///< tokens put before them
  std::vector<int> prefix; ///< tokens that the window must begin with
  /// Tokens heard in the window already, up to the time where more follows: the
  /// results go on from there.
  std::vector<int> resume;
  std::vector<int> suppress; ///< tokens never to produce
  bool suppress_blank = true;
  bool timestamps = true;
  double max_initial_timestamp = 1.0; ///< seconds; negative: no limit
  int max_tokens = 0; ///< of a window; 0: half of the text context
  double repetition_penalty = 1; ///< above 1 makes tokens rarer that were said
};

struct DecodeResult {
  std::vector<int> tokens; ///< without the end, and without `resume`
  std::string text; ///< stripped
  double avg_logprob = 0;
  double no_speech_prob = 0;
  double temperature = 0;
  double compression_ratio = 0;
};

/// Bytes of text by bytes of it under zlib; 0 for no text.
double compression_ratio(const std::string& text);

/// How much of the text context a prompt may take.
int max_prompt_tokens(const WhisperConfig& config);

/// What the encoder says about a batch of windows, kept for several tries.
struct EncodedWindows {
  mx::array audio; // [windows, 1500, width]
  std::shared_ptr<const AudioMemory> memory;
  int count() const {
    return audio.shape(0);
  }
};

EncodedWindows encode_windows(const WhisperModel& model, const mx::array& mel);

/// The same for results of the encoder, [windows, 1500, width].
EncodedWindows remember_windows(
    const WhisperModel& model,
    const mx::array& audio);

/// The windows at those places.
EncodedWindows select_windows(
    const EncodedWindows& windows,
    const std::vector<int>& places);

/// Decodes all windows at once.
std::vector<DecodeResult> decode_windows(
    const WhisperModel& model,
    const WhisperTokenizer& tokenizer,
    const EncodedWindows& windows,
    const DecodeOptions& options,
    std::mt19937_64& random);

struct LanguageGuess {
  std::string code;
  double probability;
};

/// The languages of the first window, likeliest first: all, or those of
/// `candidates` (codes or names that the tokenizer knows).
std::vector<LanguageGuess> detect_language(
    const WhisperModel& model,
    const WhisperTokenizer& tokenizer,
    const EncodedWindows& windows,
    const std::vector<std::string>& candidates = {});

} // namespace mlx_audio::whisper
