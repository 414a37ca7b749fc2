#include "models/vibevoice_asr/transcript.h"

#include <charconv>
#include <cmath>

#include <nlohmann/json.hpp>

#include "text/bpe.h"

namespace mlx_audio::vibevoice_asr {

namespace {

using Json = nlohmann::json;

constexpr size_t kMaxObject = 1 << 20; // bytes
constexpr int kMaxDepth = 32;

// JSON as a model may write it: control characters and stray backslashes in
// strings, and Python's NaN and Infinity outside of them.
std::string repaired(std::string_view object) {
  std::string out;
  bool in_string = false;
  for (size_t i = 0; i < object.size(); ++i) {
    char c = object[i];
    if (!in_string) {
      std::string_view rest = object.substr(i);
      bool replaced = false;
      for (std::string_view word : {"-Infinity", "Infinity", "NaN"}) {
        if (!replaced && rest.starts_with(word)) {
          out += "null";
          i += word.size() - 1;
          replaced = true;
        }
      }
      if (replaced) {
        continue;
      }
      in_string = c == '"';
      out += c;
    } else if (c == '\\') {
      char next = i + 1 < object.size() ? object[i + 1] : ' ';
      if (std::string_view("\"\\/bfnrtu").find(next) == std::string::npos) {
        out += "\\\\";
      } else {
        out += c;
        out += next;
        ++i;
      }
    } else if (static_cast<unsigned char>(c) < 0x20) {
      static constexpr char digits[] = "0123456789abcdef";
      out += "\\u00";
      out += digits[static_cast<unsigned char>(c) >> 4];
      out += digits[c & 15];
    } else {
      in_string = c != '"';
      out += c;
    }
  }
  return out;
}

// "12.5", "1:02.5" or "1:00:02.5".
std::optional<double> seconds_in(const std::string& text) {
  double total = 0;
  const char* at = text.data();
  const char* end = at + text.size();
  while (at < end && *at == ' ') {
    ++at;
  }
  for (int parts = 0; parts < 3; ++parts) {
    double value = 0;
    auto [stop, error] =
        std::from_chars(at, end, value, std::chars_format::fixed);
    if (error != std::errc()) {
      return std::nullopt;
    }
    total = total * 60 + value;
    at = stop;
    if (at == end || *at != ':') {
      break;
    }
    ++at;
  }
  while (at < end && (*at == ' ' || *at == 's')) {
    ++at;
  }
  return at == end ? std::optional<double>(total) : std::nullopt;
}

const Json* find(const Json& object, const char* key, const char* other) {
  for (const char* name : {key, other}) {
    auto found = object.find(name);
    if (found != object.end()) {
      return &*found;
    }
  }
  return nullptr;
}

std::optional<double> seconds(const Json* value) {
  std::optional<double> number;
  if (value != nullptr && value->is_number()) {
    number = value->get<double>();
  } else if (value != nullptr && value->is_string()) {
    number = seconds_in(value->get<std::string>());
  }
  return number && std::isfinite(*number) ? number : std::nullopt;
}

std::optional<std::string> words(const Json* value) {
  if (value == nullptr || value->is_null()) {
    return std::nullopt;
  }
  return value->is_string() ? value->get<std::string>() : value->dump();
}

} // namespace

void TranscriptReader::feed(std::string_view bytes) {
  for (char c : bytes) {
    take(c);
  }
}

void TranscriptReader::take(char c) {
  switch (state_) {
    case State::before:
    case State::list:
      // Between items: only brackets and strings matter.
      if (in_string_) {
        in_string_ = escaped_ || c != '"';
        escaped_ = !escaped_ && c == '\\';
      } else if (c == '[') {
        state_ = State::list;
        ++lists_;
      } else if (c == '{') {
        state_ = State::object;
        object_ = "{";
        ++objects_;
        depth_ = 1;
        too_long_ = false;
      } else if (state_ == State::list && c == ']') {
        state_ = --lists_ == 0 ? State::after : State::list;
      } else if (state_ == State::list && c == '"') {
        in_string_ = true;
      }
      break;
    case State::object:
      too_long_ = too_long_ || object_.size() >= kMaxObject;
      if (!too_long_) {
        object_ += c;
      }
      if (in_string_) {
        in_string_ = escaped_ || c != '"';
        escaped_ = !escaped_ && c == '\\';
      } else if (c == '"') {
        in_string_ = true;
      } else if (c == '{' || c == '[') {
        ++depth_;
        too_long_ = too_long_ || depth_ > kMaxDepth;
      } else if ((c == '}' || c == ']') && --depth_ == 0) {
        finish_object();
      }
      break;
    case State::after:
      break;
  }
}

void TranscriptReader::finish_object() {
  state_ = lists_ == 0 ? State::after : State::list;
  if (too_long_) {
    return;
  }
  Json object = Json::parse(
      repaired(text::valid_utf8(object_)), nullptr, /* exceptions */ false);
  if (!object.is_object()) {
    return;
  }
  const Json* start = find(object, "Start", "Start time");
  const Json* end = find(object, "End", "End time");
  const Json* speaker = find(object, "Speaker", "Speaker ID");
  const Json* content = find(object, "Content", "Content");
  if (start != nullptr || end != nullptr || speaker != nullptr ||
      content != nullptr) {
    ready_.push_back(
        {seconds(start), seconds(end), words(speaker), words(content)});
  }
}

std::optional<WrittenSegment> TranscriptReader::next() {
  if (ready_.empty()) {
    return std::nullopt;
  }
  auto segment = std::move(ready_.front());
  ready_.pop_front();
  return segment;
}

std::vector<WrittenSegment> read_transcript(std::string_view text) {
  TranscriptReader reader;
  reader.feed(text);
  std::vector<WrittenSegment> segments;
  while (auto segment = reader.next()) {
    segments.push_back(std::move(*segment));
  }
  return segments;
}

} // namespace mlx_audio::vibevoice_asr
