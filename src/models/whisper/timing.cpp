#include "models/whisper/timing.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace mlx_audio::whisper {

namespace {

constexpr int kMedianWidth = 7; // frames of 20 ms

bool contains(const std::string& list, std::string_view text) {
  return list.find(text) != std::string::npos;
}

std::string strip(const std::string& text) {
  auto from = text.find_first_not_of(" \t\n\r\f\v");
  if (from == std::string::npos) {
    return "";
  }
  return text.substr(from, text.find_last_not_of(" \t\n\r\f\v") - from + 1);
}

double round_hundredths(double seconds) {
  return std::nearbyint(seconds * 100) / 100;
}

// Attention of the alignment heads as one matrix [steps, frames]: softmax over
// time, standardized over the tokens, smoothed, averaged over the heads.
std::vector<float> alignment_matrix(const mx::array& scores, int frames) {
  int heads = scores.shape(0);
  int steps = scores.shape(1);
  auto weights =
      mx::softmax(mx::slice(scores, {0, 0, 0}, {heads, steps, frames}), -1);
  auto mean = mx::mean(weights, 1, true);
  auto deviation = mx::sqrt(mx::var(weights, 1, true));
  // A frame that all tokens see alike says nothing; not NaN.
  auto standard = mx::contiguous(
      mx::where(
          mx::greater(deviation, mx::array(0.0f)),
          (weights - mean) / deviation,
          mx::array(0.0f)));
  standard.eval();
  std::vector<float> values(
      standard.data<float>(), standard.data<float>() + standard.size());
  median_filter(values, heads * steps, frames, kMedianWidth);
  auto size = static_cast<size_t>(steps) * static_cast<size_t>(frames);
  std::vector<float> average(size);
  for (size_t head = 0; head < static_cast<size_t>(heads); ++head) {
    for (size_t i = 0; i < size; ++i) {
      average[i] += values[head * size + i];
    }
  }
  for (float& value : average) {
    value /= static_cast<float>(heads);
  }
  return average;
}

double median(std::vector<double> values) {
  if (values.empty()) {
    return 0;
  }
  std::sort(values.begin(), values.end());
  size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half]
                                : (values[half - 1] + values[half]) / 2;
}

// The original's rules against words that swallow a pause, at the edges of one
// segment.
void tighten(
    TranscriptionSegment& segment,
    double median_duration,
    double last_speech_end) {
  auto& words = segment.words;
  double longest = median_duration * 2;
  auto& first = words.front();
  if (first.end - last_speech_end > median_duration * 4 &&
      (first.end - first.start > longest ||
       (words.size() > 1 && words[1].end - first.start > longest * 2))) {
    if (words.size() > 1 && words[1].end - words[1].start > longest) {
      double boundary = std::max(words[1].end / 2, words[1].end - longest);
      first.end = words[1].start = boundary;
    }
    first.start = std::max(0.0, first.end - longest);
  }
  if (segment.start < first.end && segment.start - 0.5 > first.start) {
    first.start =
        std::max(0.0, std::min(first.end - median_duration, segment.start));
  } else {
    segment.start = first.start;
  }
  auto& last = words.back();
  if (segment.end > last.start && segment.end + 0.5 < last.end) {
    last.end = std::max(last.start + median_duration, segment.end);
  } else {
    segment.end = last.end;
  }
}

} // namespace

WarpPath warp(const std::vector<float>& cost, int rows, int columns) {
  auto n = static_cast<size_t>(rows);
  auto m = static_cast<size_t>(columns);
  enum : unsigned char { diagonal, up, left };
  constexpr float infinity = std::numeric_limits<float>::infinity();
  std::vector<unsigned char> came((n + 1) * (m + 1), left);
  std::vector<float> above(m + 1, infinity);
  std::vector<float> here(m + 1, infinity);
  above[0] = 0;
  for (size_t i = 1; i <= n; ++i) {
    here[0] = infinity;
    came[i * (m + 1)] = up;
    for (size_t j = 1; j <= m; ++j) {
      float c0 = above[j - 1];
      float c1 = above[j];
      float c2 = here[j - 1];
      auto move = left;
      float best = c2;
      if (c0 < c1 && c0 < c2) {
        move = diagonal;
        best = c0;
      } else if (c1 < c0 && c1 < c2) {
        move = up;
        best = c1;
      }
      here[j] = cost[(i - 1) * m + j - 1] + best;
      came[i * (m + 1) + j] = move;
    }
    std::swap(above, here);
  }
  WarpPath path;
  for (size_t i = n, j = m; i > 0 || j > 0;) {
    path.rows.push_back(static_cast<int>(i) - 1);
    path.columns.push_back(static_cast<int>(j) - 1);
    unsigned char move = left;
    if (i > 0) {
      move = came[i * (m + 1) + j];
    }
    i -= move != left;
    j -= move != up;
  }
  std::reverse(path.rows.begin(), path.rows.end());
  std::reverse(path.columns.begin(), path.columns.end());
  return path;
}

void median_filter(std::vector<float>& x, int count, int size, int width) {
  int half = width / 2;
  if (size <= half) {
    return;
  }
  std::vector<float> padded(static_cast<size_t>(size + 2 * half));
  std::vector<float> values(static_cast<size_t>(width));
  for (int row = 0; row < count; ++row) {
    float* line =
        x.data() + static_cast<size_t>(row) * static_cast<size_t>(size);
    for (int i = -half; i < size + half; ++i) {
      int at = i < 0 ? -i : i >= size ? 2 * size - 2 - i : i;
      padded[static_cast<size_t>(i + half)] = line[at];
    }
    for (int i = 0; i < size; ++i) {
      std::copy_n(padded.begin() + i, width, values.begin());
      std::nth_element(values.begin(), values.begin() + half, values.end());
      line[i] = values[static_cast<size_t>(half)];
    }
  }
}

std::vector<WordTiming> find_alignment(
    const WhisperModel& model,
    const WhisperTokenizer& tokenizer,
    const std::vector<int>& text_tokens,
    const mx::array& audio,
    int frames,
    const std::string& language,
    Task task) {
  auto start = tokenizer.sot_sequence(language, task);
  auto room = static_cast<size_t>(model.config().n_text_ctx) - start.size() - 2;
  std::vector<int> text(
      text_tokens.begin(),
      text_tokens.begin() +
          static_cast<std::ptrdiff_t>(std::min(text_tokens.size(), room)));
  int columns = frames / kFramesPerToken;
  if (text.empty() || columns < 1) {
    return {};
  }
  std::vector<int> tokens = start;
  tokens.push_back(tokenizer.no_timestamps);
  tokens.insert(tokens.end(), text.begin(), text.end());
  tokens.push_back(tokenizer.eot);
  auto steps = static_cast<int>(tokens.size());
  auto from = static_cast<int>(start.size());
  auto count = static_cast<int>(text.size());
  auto alignment =
      model.align(mx::array(tokens.begin(), {1, steps}, mx::int32), audio);

  // Probabilities of the text among text tokens.
  int width = model.config().n_text_state;
  auto logits = model.logits(
      mx::squeeze(
          mx::slice(alignment.hidden, {0, from, 0}, {1, from + count, width}),
          0));
  auto probabilities =
      mx::softmax(mx::slice(logits, {0, 0}, {count, tokenizer.eot}), -1, true);
  auto chosen = mx::contiguous(
      mx::take_along_axis(
          probabilities, mx::array(text.begin(), {count, 1}, mx::int32), 1));
  mx::eval({chosen, alignment.scores});
  const float* probability = chosen.data<float>();

  auto matrix = alignment_matrix(alignment.scores, columns);
  auto width_of_row = static_cast<size_t>(columns);
  int rows = steps - from - 1;
  std::vector<float> cost(static_cast<size_t>(rows) * width_of_row);
  for (size_t i = 0; i < cost.size(); ++i) {
    cost[i] = -matrix[static_cast<size_t>(from) * width_of_row + i];
  }
  auto path = warp(cost, rows, columns);
  std::vector<double> jumps; // when each row begins
  for (size_t i = 0; i < path.rows.size(); ++i) {
    if (i == 0 || path.rows[i] != path.rows[i - 1]) {
      jumps.push_back(path.columns[i] * kTimePrecision);
    }
  }
  text.push_back(tokenizer.eot);
  auto words = tokenizer.split_words(text, language);
  std::vector<WordTiming> timings;
  size_t at = 0;
  for (size_t i = 0; i + 1 < words.size(); ++i) {
    size_t end = at + words[i].tokens.size();
    double sum = 0;
    for (size_t t = at; t < end; ++t) {
      sum += probability[t];
    }
    timings.push_back(
        {words[i].text,
         words[i].tokens,
         jumps.at(at),
         jumps.at(end),
         sum / static_cast<double>(end - at)});
    at = end;
  }
  return timings;
}

void merge_punctuations(
    std::vector<WordTiming>& words,
    const std::string& prepended,
    const std::string& appended) {
  auto join = [](WordTiming& to, WordTiming& from, bool front) {
    to.word = front ? from.word + to.word : to.word + from.word;
    to.tokens.insert(
        front ? to.tokens.begin() : to.tokens.end(),
        from.tokens.begin(),
        from.tokens.end());
    from.word.clear();
    from.tokens.clear();
  };
  if (words.empty()) {
    return;
  }
  size_t following = words.size() - 1;
  for (size_t i = words.size() - 1; i-- > 0;) {
    if (words[i].word.starts_with(' ') &&
        contains(prepended, strip(words[i].word))) {
      join(words[following], words[i], true);
    } else {
      following = i;
    }
  }
  size_t previous = 0;
  for (size_t i = 1; i < words.size(); ++i) {
    if (!words[previous].word.ends_with(' ') &&
        contains(appended, words[i].word)) {
      join(words[previous], words[i], false);
    } else {
      previous = i;
    }
  }
}

void add_word_timestamps(
    std::vector<TranscriptionSegment>& segments,
    const WhisperModel& model,
    const WhisperTokenizer& tokenizer,
    const mx::array& audio,
    int frames,
    const std::string& language,
    const TranscriptionOptions& options,
    double last_speech_end) {
  if (segments.empty()) {
    return;
  }
  std::vector<size_t> sizes;
  std::vector<int> text;
  for (const auto& segment : segments) {
    size_t before = text.size();
    std::copy_if(
        segment.tokens.begin(),
        segment.tokens.end(),
        std::back_inserter(text),
        [&](int token) { return token < tokenizer.eot; });
    sizes.push_back(text.size() - before);
  }
  auto task = options.task == TranscriptionTask::translate ? Task::translate
                                                           : Task::transcribe;
  auto words =
      find_alignment(model, tokenizer, text, audio, frames, language, task);
  std::vector<double> durations;
  for (const auto& word : words) {
    if (word.end != word.start) {
      durations.push_back(word.end - word.start);
    }
  }
  double median_duration = std::min(0.7, median(durations));
  double longest = median_duration * 2;
  static const std::string sentence_ends = ".。!！?？";
  if (!durations.empty()) {
    for (size_t i = 1; i < words.size(); ++i) {
      if (words[i].end - words[i].start > longest) {
        if (contains(sentence_ends, words[i].word)) {
          words[i].end = words[i].start + longest;
        } else if (contains(sentence_ends, words[i - 1].word)) {
          words[i].start = words[i].end - longest;
        }
      }
    }
  }
  merge_punctuations(
      words, options.prepend_punctuations, options.append_punctuations);
  double offset = static_cast<double>(segments[0].seek) / kFramesPerSecond;
  size_t next = 0;
  for (size_t i = 0; i < segments.size(); ++i) {
    auto& segment = segments[i];
    size_t saved = 0;
    segment.words.clear();
    for (; next < words.size() && saved < sizes[i]; ++next) {
      const auto& word = words[next];
      if (!word.word.empty()) {
        segment.words.push_back(
            {word.word,
             round_hundredths(offset + word.start),
             round_hundredths(offset + word.end),
             word.probability});
      }
      saved += word.tokens.size();
    }
    if (!segment.words.empty()) {
      tighten(segment, median_duration, last_speech_end);
      last_speech_end = segment.end;
    }
  }
}

} // namespace mlx_audio::whisper
