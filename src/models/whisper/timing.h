// Times of words: the decoder's cross-attention, aligned to the text by dynamic
// time warping (openai/whisper, timing.py; Sakoe & Chiba 1978).
#pragma once

#include <string>
#include <vector>

#include "mlx_audio/transcription.h"
#include "models/whisper/decoding.h"

namespace mlx_audio::whisper {

/// The cheapest path through cost [rows, columns] from corner to corner: row
/// and column of each step.
struct WarpPath {
  std::vector<int> rows;
  std::vector<int> columns;
};
WarpPath warp(const std::vector<float>& cost, int rows, int columns);

/// x [count, size], each row filtered by the median of `width` (odd) values,
/// reflected at the ends; as it is if size is at most width / 2.
void median_filter(std::vector<float>& x, int count, int size, int width);

struct WordTiming {
  std::string word;
  std::vector<int> tokens;
  double start; // seconds in the window
  double end;
  double probability;
};

/// Words of `text_tokens` within the first `frames` mel frames of a window.
/// @param audio encode()'s result of the window, [1, 1500, width].
std::vector<WordTiming> find_alignment(
    const WhisperModel& model,
    const WhisperTokenizer& tokenizer,
    const std::vector<int>& text_tokens,
    const mx::array& audio,
    int frames,
    const std::string& language,
    Task task);

/// Joins punctuation to the words it belongs to; joined words become empty.
void merge_punctuations(
    std::vector<WordTiming>& words,
    const std::string& prepended,
    const std::string& appended);

/// Fills in the words of one window's segments and tightens the segments'
/// times by them.
void add_word_timestamps(
    std::vector<TranscriptionSegment>& segments,
    const WhisperModel& model,
    const WhisperTokenizer& tokenizer,
    const mx::array& audio,
    int frames,
    const std::string& language,
    const TranscriptionOptions& options,
    double last_speech_end);

} // namespace mlx_audio::whisper
