// The languages that Whisper was trained on, in the order of its tokens.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace mlx_audio::whisper {

struct Language {
  const char* code; ///< "en"
  const char* name; ///< "english"
};

/// All 100; models before large-v3 know the first 99.
std::span<const Language> languages();

/// The code of a language given by code or English name in any case, with the
/// usual other names ("mandarin", "castilian", ...).
std::optional<std::string> language_code(std::string_view name);

/// "english" for "en"; the code itself if it is unknown.
std::string language_name(std::string_view code);

} // namespace mlx_audio::whisper
