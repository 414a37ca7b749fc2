// Text to phonemes. One Phonemizer a language, behind one interface; models
// see tokens with phonemes and the bytes of the text they came from.
// The phoneme alphabet is misaki's (docs/text.md), which Kokoro was trained on.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace mlx_audio::text {

enum class Language { en_us, en_gb, es, fr, hi, it, pt_br, ja, zh };

/// @param name "en-us", "en-gb", "es", "fr", "hi", "it", "pt-br", "ja", "zh",
///   in any case and with '_' for '-'; "en", "fr-fr", "pt", "cmn"; or one of
///   Kokoro's letters a b e f h i p j z.
/// @throws Error invalid_argument that lists what exists.
Language parse_language(std::string_view name);
/// Canonical name, e.g. "pt-br".
const char* to_string(Language language);

struct PhonemeToken {
  std::string text; ///< the word or mark as written (without markup)
  std::string phonemes; ///< may be empty for what is not spoken
  bool space_after = false;
  size_t begin = 0, end = 0; ///< byte span in the source text
};

struct PhonemizerOptions {
  /// Folder that holds g2p/. Empty: the environment's MLX_AUDIO_DATA, else
  /// ../share/mlx-audio beside the library or the program.
  std::string data_dir;
  /// The program of eSpeak NG: a name looked up in PATH, or a path. Empty: no
  /// eSpeak; unknown English words then have no phonemes.
  std::string espeak_program = "espeak-ng";
  /// Longest wait for one answer of eSpeak, in seconds.
  double espeak_timeout = 10;
};

class Phonemizer {
 public:
  virtual ~Phonemizer() = default;
  /// @param text UTF-8 of a few kB at most per call; longer texts go through
  ///   ChunkStream (split.h), which calls this piece by piece.
  /// @throws Error invalid_argument for malformed or blank text, unavailable
  ///   if eSpeak is needed and missing.
  virtual std::vector<PhonemeToken> phonemize(std::string_view text) = 0;
  virtual Language language() const = 0;
};

/// @throws Error not_found if data files are missing, unsupported for a
///   language that cannot be spoken yet.
std::unique_ptr<Phonemizer> make_phonemizer(
    Language language,
    const PhonemizerOptions& options = {});

/// The phonemes of all tokens with a space where the text had one.
std::string join_phonemes(const std::vector<PhonemeToken>& tokens);

/// Folder with the data files, by the rules of PhonemizerOptions::data_dir.
/// @throws Error not_found that names the places looked at.
std::string find_data_dir(const std::string& wanted);

} // namespace mlx_audio::text
