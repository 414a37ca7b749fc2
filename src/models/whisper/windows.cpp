// From options and tokens of one window to segments.
#include <algorithm>
#include <cmath>

#include "mlx_audio/error.h"
#include "models/whisper/languages.h"
#include "models/whisper/transcriber.h"

namespace mlx_audio::whisper {

namespace {

[[noreturn]] void refuse(
    const std::string& what,
    const std::string& hint = "") {
  throw Error(ErrorKind::invalid_argument, what, hint);
}

void check_range(const char* name, double value, double low, double high) {
  if (!(value >= low && value <= high)) {
    auto number = [](double x) {
      auto text = std::to_string(x);
      text.erase(text.find_last_not_of('0') + 1);
      return text.ends_with('.') ? text.substr(0, text.size() - 1) : text;
    };
    refuse(
        std::string(name) + " is " + number(value) + ", not " + number(low) +
        ".." + number(high));
  }
}

std::vector<int> suppressed_tokens(
    const TranscriptionOptions& options,
    const WhisperTokenizer& t) {
  std::vector<int> tokens;
  for (int token : options.suppress_tokens) {
    if (token == -1) {
      auto symbols = t.non_speech_tokens();
      tokens.insert(tokens.end(), symbols.begin(), symbols.end());
    } else if (token < 0 || token >= t.n_vocab) {
      refuse(
          "there is no token " + std::to_string(token) + " to suppress in " +
          std::to_string(t.n_vocab));
    } else {
      tokens.push_back(token);
    }
  }
  for (int token :
       {t.transcribe, t.translate, t.sot, t.sot_prev, t.sot_lm, t.no_speech}) {
    tokens.push_back(token);
  }
  std::sort(tokens.begin(), tokens.end());
  tokens.erase(std::unique(tokens.begin(), tokens.end()), tokens.end());
  return tokens;
}

std::string strip(const std::string& text) {
  auto from = text.find_first_not_of(" \t\n\r\f\v");
  if (from == std::string::npos) {
    return "";
  }
  return text.substr(from, text.find_last_not_of(" \t\n\r\f\v") - from + 1);
}

// Its code, if the model has it.
std::string known_language(
    const std::string& language,
    const WhisperTokenizer& tokenizer) {
  auto code = language_code(language);
  if (!code) {
    refuse(
        "unknown language '" + language + "'",
        "use a code such as en, fr or zh, or auto");
  }
  if (!tokenizer.multilingual() && *code != "en") {
    refuse(
        "the model knows only English, not '" + language + "'",
        "models whose names end in .en are English only");
  }
  if (tokenizer.multilingual() && !tokenizer.language_token(*code)) {
    refuse(
        "the model does not know the language '" + language + "'",
        "Cantonese (yue) came with large-v3");
  }
  return *code;
}

} // namespace

std::string requested_language(
    const TranscriptionOptions& options,
    const WhisperTokenizer& tokenizer) {
  if (options.language.empty() || options.language == "auto") {
    if (options.languages.size() == 1) {
      return known_language(options.languages[0], tokenizer);
    }
    return tokenizer.multilingual() ? "" : "en";
  }
  return known_language(options.language, tokenizer);
}

void check_options(
    const TranscriptionOptions& options,
    const Whisper& whisper) {
  requested_language(options, whisper.tokenizer);
  for (const auto& candidate : options.languages) {
    known_language(candidate, whisper.tokenizer);
  }
  suppressed_tokens(options, whisper.tokenizer);
  if (options.task == TranscriptionTask::translate &&
      !whisper.tokenizer.multilingual()) {
    refuse(
        "the model knows only English and cannot translate",
        "take a multilingual model, such as whisper-base");
  }
  if (options.temperatures.empty()) {
    refuse("no temperature was given");
  }
  for (double t : options.temperatures) {
    check_range("temperature", t, 0, 2);
  }
  check_range("beam_size", options.beam_size, 1, 32);
  check_range("best_of", options.best_of, 1, 32);
  check_range("patience", options.patience, 0.01, 32);
  check_range("repetition_penalty", options.repetition_penalty, 0.1, 10);
  if (options.length_penalty) {
    check_range("length_penalty", *options.length_penalty, 0, 1);
  }
  int half = whisper.model.config().n_text_ctx / 2;
  check_range("max_tokens", options.max_tokens, 0, half);
  check_range("batch_size", options.batch_size, 1, 64);
  double before = 0;
  for (double time : options.clip_timestamps) {
    if (!(time >= before && time < 1e9)) {
      refuse(
          "clip times must rise, but " + std::to_string(time) + " follows " +
          std::to_string(before));
    }
    before = time;
  }
  if (options.vad || options.batch_size > 1) {
    check_range("vad threshold", options.vad_options.threshold, 0.01, 1);
    check_range("vad max_speech", options.vad_options.max_speech, 1, 30);
    check_range("vad min_speech", options.vad_options.min_speech, 0, 30);
    check_range("vad min_silence", options.vad_options.min_silence, 0, 30);
    check_range("vad padding", options.vad_options.padding, 0, 5);
    if (!whisper.vad && options.vad_options.model.empty()) {
      throw Error(
          ErrorKind::not_found,
          "voice detection needs the model silero-vad, which is missing",
          "scripts/import-models silero-vad makes it");
    }
  }
}

DecodeOptions decode_options(
    const TranscriptionOptions& options,
    const WhisperTokenizer& tokenizer,
    const std::string& language) {
  DecodeOptions d;
  d.language = language;
  d.task = options.task == TranscriptionTask::translate ? Task::translate
                                                        : Task::transcribe;
  d.patience = options.patience;
  d.length_penalty = options.length_penalty;
  d.suppress = suppressed_tokens(options, tokenizer);
  d.suppress_blank = options.suppress_blank;
  d.timestamps = options.timestamps;
  d.max_initial_timestamp = options.max_initial_timestamp;
  d.max_tokens = options.max_tokens;
  d.repetition_penalty = options.repetition_penalty;
  if (!strip(options.hotwords).empty()) {
    d.hotwords = tokenizer.encode(" " + strip(options.hotwords));
  }
  return d;
}

std::vector<DecodeResult> decode_with_fallback(
    const Whisper& whisper,
    const EncodedWindows& windows,
    const TranscriptionOptions& options,
    DecodeOptions decoding,
    std::mt19937_64& random) {
  std::vector<DecodeResult> results(static_cast<size_t>(windows.count()));
  std::vector<int> todo(results.size());
  for (size_t i = 0; i < todo.size(); ++i) {
    todo[i] = static_cast<int>(i);
  }
  for (double temperature : options.temperatures) {
    decoding.temperature = temperature;
    decoding.beam_size = temperature > 0 ? 1 : options.beam_size;
    decoding.best_of = temperature > 0 ? options.best_of : 1;
    EncodedWindows some =
        todo.size() == results.size() ? windows : select_windows(windows, todo);
    auto tried = decode_windows(
        whisper.model, whisper.tokenizer, some, decoding, random);
    std::vector<int> failed;
    for (size_t i = 0; i < todo.size(); ++i) {
      auto& result = tried[i];
      bool repeats = options.compression_ratio_threshold &&
          result.compression_ratio > *options.compression_ratio_threshold;
      bool guess = options.logprob_threshold &&
          result.avg_logprob < *options.logprob_threshold;
      bool silence = options.no_speech_threshold && guess &&
          result.no_speech_prob > *options.no_speech_threshold;
      if ((repeats || guess) && !silence) {
        failed.push_back(todo[i]);
      }
      results[static_cast<size_t>(todo[i])] = std::move(result);
    }
    if (failed.empty()) {
      break;
    }
    todo = std::move(failed);
  }
  return results;
}

bool is_silence(
    const DecodeResult& result,
    const TranscriptionOptions& options) {
  if (!options.no_speech_threshold ||
      result.no_speech_prob <= *options.no_speech_threshold) {
    return false;
  }
  return !options.logprob_threshold ||
      result.avg_logprob <= *options.logprob_threshold;
}

SplitWindow split_window(
    const DecodeResult& result,
    const WhisperTokenizer& tokenizer,
    int64_t seek,
    int64_t frames,
    bool keep_tail) {
  const auto& tokens = result.tokens;
  size_t n = tokens.size();
  auto is_time = [&](size_t i) {
    return tokens[i] >= tokenizer.timestamp_begin;
  };
  auto time = [&](size_t i) { return tokens[i] - tokenizer.timestamp_begin; };
  double offset = static_cast<double>(seek) / kFramesPerSecond;
  double length = static_cast<double>(frames) / kFramesPerSecond;

  SplitWindow split;
  auto add = [&](double start, double end, size_t from, size_t to) {
    TranscriptionSegment segment;
    segment.seek = seek;
    segment.start = offset + start;
    segment.end = offset + end;
    segment.tokens.assign(
        tokens.begin() + static_cast<std::ptrdiff_t>(from),
        tokens.begin() + static_cast<std::ptrdiff_t>(to));
    segment.text = tokenizer.decode(segment.tokens);
    segment.temperature = result.temperature;
    segment.avg_logprob = result.avg_logprob;
    segment.compression_ratio = result.compression_ratio;
    segment.no_speech_prob = result.no_speech_prob;
    split.segments.push_back(std::move(segment));
  };
  split.complete =
      n >= 1 && is_time(n - 1) && (n < 2 || !is_time(n - 2)) && n >= 2;
  std::vector<size_t> cuts; // after the first of two times in a row
  for (size_t i = 1; i < n; ++i) {
    if (is_time(i - 1) && is_time(i)) {
      cuts.push_back(i);
    }
  }
  split.advance = frames;
  if (cuts.empty()) {
    double end = length;
    for (size_t i = n; i > 0; --i) {
      if (is_time(i - 1)) {
        if (time(i - 1) != 0) {
          end = time(i - 1) * kTimePrecision;
        }
        break;
      }
    }
    add(0, end, 0, n);
    return split;
  }
  if (split.complete) {
    cuts.push_back(n);
  }
  size_t from = 0;
  for (size_t to : cuts) {
    add(time(from) * kTimePrecision, time(to - 1) * kTimePrecision, from, to);
    from = to;
  }
  if (!split.complete) {
    bool text = std::any_of(
        tokens.begin() + static_cast<std::ptrdiff_t>(from),
        tokens.end(),
        [&](int token) { return token < tokenizer.eot; });
    if (keep_tail && text) {
      double start = is_time(from) ? time(from) * kTimePrecision : 0;
      add(start, std::max(length, start), from, n);
    } else {
      split.advance = static_cast<int64_t>(time(from - 1)) * kFramesPerToken;
    }
  }
  return split;
}

} // namespace mlx_audio::whisper
