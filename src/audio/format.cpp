// Names of formats.
#include <algorithm>
#include <array>
#include <cctype>

#include "mlx_audio/audio.h"
#include "mlx_audio/error.h"

namespace mlx_audio {

namespace {

struct FormatName {
  std::string_view name;
  AudioFormat format;
};

constexpr std::array<FormatName, 11> kFormats = {{
    {"wav", AudioFormat::wav},
    {"wave", AudioFormat::wav},
    {"flac", AudioFormat::flac},
    {"mp3", AudioFormat::mp3},
    {"mpeg", AudioFormat::mp3},
    {"opus", AudioFormat::opus},
    {"ogg", AudioFormat::opus},
    {"oga", AudioFormat::opus},
    {"aac", AudioFormat::aac},
    {"pcm", AudioFormat::pcm},
    {"raw", AudioFormat::pcm},
}};

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) {
    return static_cast<char>(std::tolower(c));
  });
  return out;
}

std::optional<AudioFormat> find_format(std::string_view name) {
  std::string wanted = lower(name);
  for (const FormatName& known : kFormats) {
    if (known.name == wanted) {
      return known.format;
    }
  }
  return std::nullopt;
}

} // namespace

const char* to_string(AudioFormat format) {
  switch (format) {
    case AudioFormat::flac:
      return "flac";
    case AudioFormat::mp3:
      return "mp3";
    case AudioFormat::opus:
      return "opus";
    case AudioFormat::aac:
      return "aac";
    case AudioFormat::pcm:
      return "pcm";
    default:
      return "wav";
  }
}

const char* to_string(SampleFormat format) {
  switch (format) {
    case SampleFormat::s24:
      return "s24";
    case SampleFormat::f32:
      return "f32";
    default:
      return "s16";
  }
}

AudioFormat parse_audio_format(std::string_view name) {
  if (auto format = find_format(name)) {
    return *format;
  }
  throw Error(
      ErrorKind::invalid_argument,
      "unknown audio format '" + std::string(name) + "'",
      "Formats are wav, flac, mp3, opus, aac and pcm.");
}

SampleFormat parse_sample_format(std::string_view name) {
  std::string wanted = lower(name);
  for (auto format :
       {SampleFormat::s16, SampleFormat::s24, SampleFormat::f32}) {
    if (wanted == to_string(format)) {
      return format;
    }
  }
  throw Error(
      ErrorKind::invalid_argument,
      "unknown sample format '" + std::string(name) + "'",
      "Sample formats are s16, s24 and f32.");
}

std::optional<AudioFormat> audio_format_from_path(const std::string& path) {
  size_t dot = path.rfind('.');
  size_t slash = path.rfind('/');
  if (dot == std::string::npos || (slash != std::string::npos && dot < slash)) {
    return std::nullopt;
  }
  return find_format(std::string_view(path).substr(dot + 1));
}

const char* media_type(AudioFormat format) {
  switch (format) {
    case AudioFormat::flac:
      return "audio/flac";
    case AudioFormat::mp3:
      return "audio/mpeg";
    case AudioFormat::opus:
      return "audio/ogg";
    case AudioFormat::aac:
      return "audio/aac";
    case AudioFormat::pcm:
      return "audio/pcm";
    default:
      return "audio/wav";
  }
}

const char* file_extension(AudioFormat format) {
  return to_string(format);
}

} // namespace mlx_audio
