#include "engine/reference_text.h"

#include <algorithm>

#include "hub/store.h"
#include "mlx_audio/error.h"
#include "mlx_audio/transcription.h"
#include "text/nearest.h"
#include "text/unicode.h"

namespace mlx_audio::engine {

namespace {

// Spellings, numbers and small mishearings stay below; half of the words
// missing does not.
constexpr double kMostDifferent = 0.4;

// Letters and digits in lower case.
std::string letters_of(const std::string& text) {
  std::u32string kept;
  for (char32_t c : text::to_lower(text::nfkc(text::to_u32(text)))) {
    if (text::is_alpha(c) || text::is_digit(c)) {
      kept += c;
    }
  }
  return text::to_utf8(kept);
}

std::string trimmed(const std::string& text) {
  size_t begin = text.find_first_not_of(" \n");
  return begin == std::string::npos
      ? ""
      : text.substr(begin, text.find_last_not_of(" \n") + 1 - begin);
}

std::string hear(const Audio& audio, const std::string& folder) {
  auto model = load_transcription_model(folder);
  TranscriptionOptions options;
  options.timestamps = false;
  auto stream = model->transcribe({.audio = &audio, .options = options});
  return trimmed(collect(*stream, options).text);
}

} // namespace

std::string reference_words(const std::string& transcript) {
  auto text = trimmed(transcript);
  if (letters_of(text).empty()) {
    throw Error(
        ErrorKind::invalid_argument,
        "Whisper hears no words in the reference audio",
        "give what is said in it (--ref-text), or take its timbre only "
        "(--x-vector-only)");
  }
  return text;
}

std::string heard_text(const Audio& audio, const std::string& whisper) {
  return reference_words(hear(audio, hub::resolve_model(whisper)));
}

bool same_speech(const std::string& a, const std::string& b) {
  auto x = letters_of(a);
  auto y = letters_of(b);
  auto longer = static_cast<double>(std::max(x.size(), y.size()));
  return static_cast<double>(text::edit_distance(x, y)) <=
      kMostDifferent * longer;
}

std::string reference_text_warning(
    const VoiceReference& reference,
    const std::string& whisper) {
  if (reference.x_vector_only || reference.text.empty()) {
    return "";
  }
  auto folder = hub::find_local_model(whisper);
  if (folder.empty()) {
    return "";
  }
  auto heard = hear(reference.audio, folder);
  if (same_speech(heard, reference.text)) {
    return "";
  }
  return "the reference text is not what Whisper hears in the recording (\"" +
      heard + "\"): the voice may come out wrong";
}

} // namespace mlx_audio::engine
