#include "text/phonemizer.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "mlx_audio/error.h"
#include "text/english_phonemizer.h"
#include "text/espeak_phonemizer.h"

namespace mlx_audio::text {

namespace {

struct LanguageInfo {
  Language language;
  const char* name;
  char letter; // Kokoro's
  const char* other; // more names, in blanks
  const char* voice; // eSpeak's; null: spoken otherwise or not yet
};
constexpr LanguageInfo kLanguages[] = {
    {Language::en_us, "en-us", 'a', " en ", "en-us"},
    {Language::en_gb, "en-gb", 'b', " ", "en-gb"},
    {Language::es, "es", 'e', " es-es ", "es"},
    {Language::fr, "fr", 'f', " fr-fr ", "fr-fr"},
    {Language::hi, "hi", 'h', " hi-in ", "hi"},
    {Language::it, "it", 'i', " it-it ", "it"},
    {Language::pt_br, "pt-br", 'p', " pt ", "pt-br"},
    {Language::ja, "ja", 'j', " ja-jp jp ", nullptr},
    {Language::zh, "zh", 'z', " cmn zh-cn zh-hans ", nullptr},
};

const LanguageInfo& info(Language language) {
  for (const LanguageInfo& entry : kLanguages) {
    if (entry.language == language) {
      return entry;
    }
  }
  throw Error(ErrorKind::internal, "language without a name");
}

// The folder beside the shared library or program that holds this code.
std::filesystem::path own_folder() {
  Dl_info found{};
  if (::dladdr(reinterpret_cast<const void*>(&find_data_dir), &found) == 0 ||
      found.dli_fname == nullptr) {
    return {};
  }
  std::error_code failed;
  auto path = std::filesystem::canonical(found.dli_fname, failed);
  return failed ? std::filesystem::path() : path.parent_path();
}

std::filesystem::path program_folder() {
  std::error_code failed;
  auto path = std::filesystem::read_symlink("/proc/self/exe", failed);
  return failed ? std::filesystem::path() : path.parent_path();
}

} // namespace

Language parse_language(std::string_view name) {
  std::string key(name);
  for (char& c : key) {
    c = c == '_' ? '-' : c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  }
  bool clean = !key.empty() && key.find(' ') == std::string::npos;
  std::string names;
  for (const LanguageInfo& entry : kLanguages) {
    if (clean &&
        (key == entry.name || key == std::string(1, entry.letter) ||
         std::string_view(entry.other).find(" " + key + " ") !=
             std::string_view::npos)) {
      return entry.language;
    }
    names += (names.empty() ? "" : ", ") + std::string(entry.name);
  }
  throw Error(
      ErrorKind::invalid_argument,
      "unknown language '" + std::string(name.substr(0, 40)) + "'",
      "use one of " + names + ", or Kokoro's letters a b e f h i p j z");
}

const char* to_string(Language language) {
  return info(language).name;
}

std::string join_phonemes(const std::vector<PhonemeToken>& tokens) {
  std::string out;
  for (const PhonemeToken& token : tokens) {
    out += token.phonemes;
    out += token.space_after ? " " : "";
  }
  return out;
}

std::string find_data_dir(const std::string& wanted) {
  namespace fs = std::filesystem;
  std::vector<fs::path> places;
  const char* environment = std::getenv("MLX_AUDIO_DATA");
  if (!wanted.empty()) {
    places.emplace_back(wanted);
  } else if (environment != nullptr && *environment != '\0') {
    places.emplace_back(environment);
  } else {
    for (const fs::path& folder : {own_folder(), program_folder()}) {
      if (!folder.empty()) {
        places.push_back(folder / "../share/mlx-audio");
      }
    }
  }
  for (const fs::path& place : places) {
    std::error_code failed;
    if (fs::is_directory(place / "g2p", failed)) {
      return place.lexically_normal().string();
    }
  }
  const char* advice =
      "run scripts/fetch-lexicons and build, or set "
      "MLX_AUDIO_DATA";
  if (!wanted.empty()) {
    throw Error(
        ErrorKind::not_found, "no pronunciation data in " + wanted, advice);
  }
  // Where it was looked for is no business of a server's clients.
  throw Error(
      ErrorKind::unavailable, "no pronunciation data is installed", advice);
}

std::unique_ptr<Phonemizer> make_phonemizer(
    Language language,
    const PhonemizerOptions& options) {
  const LanguageInfo& entry = info(language);
  if (entry.voice == nullptr) {
    throw Error(
        ErrorKind::unsupported,
        std::string("text in '") + entry.name + "' cannot be spoken yet",
        "give phonemes instead of text, or use another language");
  }
  IpaSource source = espeak_source(options, entry.voice);
  if (language == Language::en_us || language == Language::en_gb) {
    return std::make_unique<EnglishPhonemizer>(
        language == Language::en_gb,
        find_data_dir(options.data_dir) + "/g2p",
        std::move(source));
  }
  if (!source) {
    throw Error(
        ErrorKind::unavailable,
        std::string("'") + entry.name + "' needs eSpeak NG, which is off");
  }
  return make_espeak_phonemizer(language, std::move(source));
}

} // namespace mlx_audio::text
