#include "cli/subtitles.h"

#include <cmath>
#include <cstdio>

#include <nlohmann/json.hpp>

namespace mlx_audio::cli {

namespace {

constexpr size_t line_length = 42; // characters that a cue holds
constexpr double pause = 0.5; // seconds of silence that end a cue

std::string srt_time(double seconds) {
  long ms = std::lround(seconds * 1000);
  char text[32];
  std::snprintf(
      text,
      sizeof(text),
      "%02ld:%02ld:%02ld,%03ld",
      ms / 3600000,
      ms / 60000 % 60,
      ms / 1000 % 60,
      ms % 1000);
  return text;
}

double milliseconds(double seconds) {
  return std::round(seconds * 1000) / 1000;
}

} // namespace

std::string words_to_json(const std::vector<WordTime>& words) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const auto& word : words) {
    list.push_back(
        {{"word", word.text},
         {"start", milliseconds(word.start)},
         {"end", milliseconds(word.end)}});
  }
  return nlohmann::ordered_json{{"words", list}}.dump(1) + "\n";
}

std::string words_to_srt(const std::vector<WordTime>& words) {
  std::string srt;
  int number = 0;
  for (size_t from = 0; from < words.size();) {
    std::string line = words[from].text;
    size_t to = from + 1;
    while (to < words.size() && words[to].start - words[to - 1].end < pause &&
           line.size() + 1 + words[to].text.size() <= line_length) {
      line += " " + words[to++].text;
    }
    srt += std::to_string(++number) + "\n" + srt_time(words[from].start) +
        " --> " + srt_time(words[to - 1].end) + "\n" + line + "\n\n";
    from = to;
  }
  return srt;
}

} // namespace mlx_audio::cli
