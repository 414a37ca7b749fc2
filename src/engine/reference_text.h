// The words of a recording that a voice is taken from, as Whisper hears them.
#pragma once

#include <string>

#include "mlx_audio/speech.h"

namespace mlx_audio::engine {

/// A reference text that stands for what Whisper hears.
inline constexpr const char* kAutoText = "auto";

/// A transcript as a reference text, without white space around it.
/// @throws Error invalid_argument if there are no words in it.
std::string reference_words(const std::string& transcript);

/// What Whisper hears in a recording.
/// @param whisper name of the model
/// @throws Error not_found if the model cannot be had, invalid_argument if it
///   hears no words.
std::string heard_text(const Audio& audio, const std::string& whisper);

/// One line that says how `reference.text` differs from what Whisper hears, or
/// nothing if they are about the same, if there is nothing to compare or if
/// the model is not on this machine.
std::string reference_text_warning(
    const VoiceReference& reference,
    const std::string& whisper);

/// True if two texts are about the same speech: by the edit distance of their
/// letters and digits, whatever the script.
bool same_speech(const std::string& a, const std::string& b);

} // namespace mlx_audio::engine
