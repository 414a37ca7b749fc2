// Transcripts as files: OpenAI's formats (whisper/utils.py and the API's
// verbose_json).
#include <algorithm>
#include <cmath>
#include <sstream>

#include <nlohmann/json.hpp>

#include "mlx_audio/error.h"
#include "mlx_audio/transcription.h"
#include "models/whisper/languages.h"

namespace mlx_audio {

namespace {

using json = nlohmann::ordered_json;

std::string strip(const std::string& text) {
  auto from = text.find_first_not_of(" \t\n\r\f\v");
  if (from == std::string::npos) {
    return "";
  }
  return text.substr(from, text.find_last_not_of(" \t\n\r\f\v") - from + 1);
}

std::string
replace_all(std::string text, const std::string& from, const std::string& to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos;
       at += to.size()) {
    text.replace(at, from.size(), to);
  }
  return text;
}

std::string clock(double seconds, bool hours, char mark) {
  auto ms = static_cast<int64_t>(std::nearbyint(std::max(seconds, 0.0) * 1000));
  char out[40];
  auto h = ms / 3'600'000;
  auto m = ms / 60'000 % 60;
  auto s = ms / 1000 % 60;
  if (hours || h > 0) {
    std::snprintf(
        out,
        sizeof(out),
        "%02lld:%02lld:%02lld%c%03lld",
        static_cast<long long>(h),
        static_cast<long long>(m),
        static_cast<long long>(s),
        mark,
        static_cast<long long>(ms % 1000));
  } else {
    std::snprintf(
        out,
        sizeof(out),
        "%02lld:%02lld%c%03lld",
        static_cast<long long>(m),
        static_cast<long long>(s),
        mark,
        static_cast<long long>(ms % 1000));
  }
  return out;
}

size_t characters(const std::string& text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

// "Speaker 0" for a number, a name as it is; on one line.
std::string speaker_name(const std::string& speaker) {
  bool counted = !speaker.empty() &&
      speaker.find_first_not_of("0123456789") == std::string::npos;
  std::string name = counted ? "Speaker " + speaker : strip(speaker);
  for (char& c : name) {
    c = static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return name;
}

struct Cue {
  double start;
  double end;
  std::string text;
  std::string speaker = {};
};

// WebVTT's voice span; the name must not end its tag.
std::string voice_span(const Cue& cue) {
  if (cue.speaker.empty()) {
    return cue.text;
  }
  std::string name = cue.speaker;
  for (char& c : name) {
    c = c == '<' || c == '>' || c == '&' ? ' ' : c;
  }
  return "<v " + name + ">" + cue.text;
}

using Subtitle = std::vector<TranscribedWord>; // text with line breaks

// Words packed into lines and subtitles. Without both limits each segment is a
// subtitle of its own; with them pauses of more than 3 s end one.
std::vector<Subtitle> pack(
    const Transcription& t,
    const SubtitleOptions& options) {
  bool keep_segments =
      options.max_line_count == 0 || options.max_line_width == 0;
  auto width = static_cast<size_t>(
      options.max_line_width > 0 ? options.max_line_width : 1000);
  auto most_words = static_cast<size_t>(
      options.max_words_per_line > 0 ? options.max_words_per_line : 1 << 20);
  std::vector<Subtitle> subtitles;
  Subtitle current;
  size_t line = 0;
  int lines = 1;
  double last = 0;
  bool first = true;
  for (const auto& segment : t.segments) {
    for (size_t i = 0; i < segment.words.size(); ++i) {
      auto word = segment.words[i];
      if (first) {
        last = word.start;
        first = false;
      }
      bool pause = !keep_segments && word.start - last > 3.0;
      bool room = line + characters(word.text) <= width;
      bool new_group = i % most_words == 0 && !current.empty() && keep_segments;
      if (line > 0 && room && !pause && !new_group) {
        line += characters(word.text);
      } else {
        word.text = strip(word.text);
        line = characters(word.text);
        bool full = !current.empty() && options.max_line_count > 0 &&
            (pause || lines >= options.max_line_count);
        if (full || new_group) {
          subtitles.push_back(std::move(current));
          current.clear();
          lines = 1;
        } else if (!current.empty()) {
          ++lines;
          word.text = "\n" + word.text;
        }
      }
      last = word.start;
      current.push_back(std::move(word));
    }
  }
  if (!current.empty()) {
    subtitles.push_back(std::move(current));
  }
  return subtitles;
}

std::string joined(const Subtitle& words, size_t highlighted) {
  std::string text;
  for (size_t i = 0; i < words.size(); ++i) {
    if (i != highlighted) {
      text += words[i].text;
      continue;
    }
    auto from = std::min(
        words[i].text.find_first_not_of(" \n\t"), words[i].text.size());
    text += words[i].text.substr(0, from) + "<u>" + words[i].text.substr(from) +
        "</u>";
  }
  return text;
}

std::vector<Cue> cues(const Transcription& t, const SubtitleOptions& options) {
  constexpr size_t none = static_cast<size_t>(-1);
  std::vector<Cue> list;
  if (!t.has_words) {
    for (const auto& segment : t.segments) {
      if (!strip(segment.text).empty()) {
        list.push_back(
            {segment.start,
             segment.end,
             strip(segment.text),
             speaker_name(segment.speaker)});
      }
    }
    return list;
  }
  for (const auto& words : pack(t, options)) {
    if (!options.highlight_words) {
      list.push_back(
          {words.front().start, words.back().end, joined(words, none)});
      continue;
    }
    double last = words.front().start;
    for (size_t i = 0; i < words.size(); ++i) {
      if (words[i].start > last) {
        list.push_back({last, words[i].start, joined(words, none)});
      }
      list.push_back({words[i].start, words[i].end, joined(words, i)});
      last = words[i].end;
    }
  }
  return list;
}

double rounded(double x, double places) {
  return std::nearbyint(x * places) / places;
}

json words_json(const std::vector<TranscribedWord>& words, bool verbose) {
  json list = json::array();
  for (const auto& word : words) {
    json entry = {
        {"word", verbose ? strip(word.text) : word.text},
        {"start", rounded(word.start, 100)},
        {"end", rounded(word.end, 100)}};
    if (!verbose) {
      entry["probability"] = rounded(word.probability, 1e6);
    }
    list.push_back(std::move(entry));
  }
  return list;
}

std::string to_json(const Transcription& t, bool verbose) {
  json root;
  const char* task =
      t.task == TranscriptionTask::translate ? "translate" : "transcribe";
  if (verbose) {
    root["task"] = task;
    root["language"] = whisper::language_name(t.language);
    root["duration"] = rounded(t.duration, 1000);
    root["text"] = strip(t.text);
  } else {
    root["text"] = t.text;
    root["language"] = t.language;
    root["language_probability"] = rounded(t.language_probability, 1e6);
    root["duration"] = rounded(t.duration, 1000);
    root["task"] = task;
  }
  json segments = json::array();
  json all_words = json::array();
  for (const auto& s : t.segments) {
    json entry = {
        {"id", s.id},
        {"seek", s.seek},
        {"start", rounded(s.start, 1000)},
        {"end", rounded(s.end, 1000)},
        {"text", s.text},
        {"tokens", s.tokens},
        {"temperature", s.temperature},
        {"avg_logprob", rounded(s.avg_logprob, 1e6)},
        {"compression_ratio", rounded(s.compression_ratio, 1e6)},
        {"no_speech_prob", rounded(s.no_speech_prob, 1e9)}};
    if (!s.speaker.empty()) {
      entry["speaker"] = s.speaker;
    }
    if (t.has_words && verbose) {
      for (auto& word : words_json(s.words, true)) {
        all_words.push_back(std::move(word));
      }
    } else if (t.has_words) {
      entry["words"] = words_json(s.words, false);
    }
    segments.push_back(std::move(entry));
  }
  root["segments"] = std::move(segments);
  if (t.truncated) {
    root["finish_reason"] = "length";
  }
  if (t.has_words && verbose) {
    root["words"] = std::move(all_words);
  }
  return root.dump(verbose ? -1 : 1) + "\n";
}

} // namespace

std::string labelled_text(const TranscriptionSegment& segment) {
  auto text = strip(segment.text);
  auto name = speaker_name(segment.speaker);
  return name.empty() || text.empty() ? text : name + ": " + text;
}

TranscriptFormat parse_transcript_format(const std::string& name) {
  static const std::pair<const char*, TranscriptFormat> names[] = {
      {"txt", TranscriptFormat::txt},
      {"text", TranscriptFormat::txt},
      {"srt", TranscriptFormat::srt},
      {"vtt", TranscriptFormat::vtt},
      {"tsv", TranscriptFormat::tsv},
      {"json", TranscriptFormat::json},
      {"verbose_json", TranscriptFormat::verbose_json}};
  for (const auto& [known, format] : names) {
    if (name == known) {
      return format;
    }
  }
  throw Error(
      ErrorKind::invalid_argument,
      "unknown transcript format '" + name + "'",
      "use txt, srt, vtt, tsv, json or verbose_json");
}

std::string format_transcript(
    const Transcription& t,
    TranscriptFormat format,
    const SubtitleOptions& subtitles /* = {} */) {
  std::ostringstream out;
  switch (format) {
    case TranscriptFormat::json:
    case TranscriptFormat::verbose_json:
      return to_json(t, format == TranscriptFormat::verbose_json);
    case TranscriptFormat::txt:
      for (const auto& segment : t.segments) {
        if (auto text = labelled_text(segment); !text.empty()) {
          out << text << '\n';
        }
      }
      break;
    case TranscriptFormat::tsv:
      out << "start\tend\ttext\n";
      for (const auto& segment : t.segments) {
        if (auto text = labelled_text(segment); !text.empty()) {
          out << std::llround(segment.start * 1000) << '\t'
              << std::llround(segment.end * 1000) << '\t'
              << replace_all(text, "\t", " ") << '\n';
        }
      }
      break;
    case TranscriptFormat::srt: {
      int number = 0;
      for (const auto& cue : cues(t, subtitles)) {
        out << ++number << '\n'
            << clock(cue.start, true, ',') << " --> "
            << clock(cue.end, true, ',') << '\n'
            << (cue.speaker.empty() ? "" : cue.speaker + ": ")
            << replace_all(cue.text, "-->", "->") << "\n\n";
      }
      break;
    }
    case TranscriptFormat::vtt:
      out << "WEBVTT\n\n";
      for (const auto& cue : cues(t, subtitles)) {
        out << clock(cue.start, false, '.') << " --> "
            << clock(cue.end, false, '.') << '\n'
            << replace_all(voice_span(cue), "-->", "->") << "\n\n";
      }
      break;
  }
  return out.str();
}

} // namespace mlx_audio
