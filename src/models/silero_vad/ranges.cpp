#include <algorithm>
#include <cmath>

#include "models/silero_vad/speech.h"

namespace mlx_audio::silero_vad {

namespace {

constexpr double kRate = 16000;

// The chunk at which to cut [begin, end): the middle of the longest run below
// `quiet` in the second half, else the least speech-like chunk there.
size_t
best_cut(std::span<const float> p, size_t begin, size_t end, double quiet) {
  size_t from = begin + (end - begin) / 2;
  size_t best = 0;
  size_t best_length = 0;
  for (size_t i = from; i < end;) {
    size_t j = i;
    while (j < end && p[j] < quiet) {
      ++j;
    }
    if (j - i > best_length) {
      best_length = j - i;
      best = i + (j - i) / 2;
    }
    i = j + 1;
  }
  if (best_length > 0) {
    return best;
  }
  auto least = std::min_element(
      p.begin() + static_cast<std::ptrdiff_t>(from),
      p.begin() + static_cast<std::ptrdiff_t>(end));
  return static_cast<size_t>(least - p.begin());
}

} // namespace

std::vector<SpeechRange> find_speech(
    std::span<const float> p,
    int64_t total_samples,
    const VadOptions& options) {
  auto chunks = [](double seconds) {
    return static_cast<size_t>(
        std::max(0.0, std::ceil(seconds * kRate / kChunk)));
  };
  double quiet = options.negative_threshold >= 0
      ? options.negative_threshold
      : std::max(options.threshold - 0.15, 0.01);
  size_t min_silence = chunks(options.min_silence);
  double room = options.max_speech - 2 * options.padding;
  size_t longest = std::max<size_t>(
      static_cast<size_t>(std::max(0.0, room) * kRate / kChunk), 8);
  struct Run {
    size_t begin;
    size_t end;
  };
  std::vector<Run> runs;
  bool speaking = false;
  size_t begin = 0;
  size_t silent_from = 0;
  bool silent = false;
  auto close = [&](size_t end) {
    while (end - begin > longest) {
      size_t cut = best_cut(p, begin, begin + longest, quiet);
      cut = std::max(cut, begin + 1);
      runs.push_back({begin, cut});
      begin = cut;
    }
    runs.push_back({begin, end});
  };
  for (size_t i = 0; i < p.size(); ++i) {
    if (!speaking) {
      if (p[i] >= options.threshold) {
        speaking = true;
        silent = false;
        begin = i;
      }
      continue;
    }
    if (p[i] >= options.threshold) {
      silent = false;
    } else if (p[i] < quiet && !silent) {
      silent = true;
      silent_from = i;
    }
    if (silent && i - silent_from + 1 >= min_silence) {
      close(silent_from);
      speaking = false;
    }
  }
  if (speaking) {
    close(p.size());
  }
  auto min_speech = options.min_speech * kRate;
  auto padding = static_cast<int64_t>(options.padding * kRate);
  std::vector<SpeechRange> ranges;
  for (const auto& run : runs) {
    SpeechRange range{
        static_cast<int64_t>(run.begin) * kChunk,
        std::min(static_cast<int64_t>(run.end) * kChunk, total_samples)};
    if (static_cast<double>(range.end - range.begin) >= min_speech &&
        range.end > range.begin) {
      ranges.push_back(range);
    }
  }
  for (size_t i = 0; i < ranges.size(); ++i) {
    // Neighbours share a pause that is too short for both paddings.
    int64_t before = i == 0 ? 0 : ranges[i - 1].end;
    ranges[i].begin = std::max(
        ranges[i].begin - padding,
        i == 0 ? int64_t{0} : std::min(before, ranges[i].begin));
    int64_t after =
        i + 1 == ranges.size() ? total_samples : ranges[i + 1].begin;
    int64_t pause = after - ranges[i].end;
    ranges[i].end += i + 1 == ranges.size()
        ? std::min(padding, pause)
        : std::min(padding, std::max<int64_t>(pause / 2, pause - padding));
  }
  return ranges;
}

std::vector<SpeechRange> join_ranges(
    const std::vector<SpeechRange>& ranges,
    int64_t longest,
    int64_t longest_pause) {
  std::vector<SpeechRange> joined;
  for (const auto& range : ranges) {
    if (!joined.empty() && range.end - joined.back().begin <= longest &&
        range.begin - joined.back().end <= longest_pause) {
      joined.back().end = range.end;
    } else {
      joined.push_back(range);
    }
  }
  return joined;
}

} // namespace mlx_audio::silero_vad
