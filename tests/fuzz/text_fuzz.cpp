// The whole front end on foreign bytes: UTF-8 checks, markup, tokens, tags,
// dictionary, numbers and splitting, with eSpeak replaced by a stub. The first
// byte chooses language and limits. Where the English data files are missing
// only the other languages run; CI has them.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include "mlx_audio/error.h"
#include "text/english_phonemizer.h"
#include "text/espeak_phonemizer.h"
#include "text/phonemizer.h"
#include "text/split.h"
#include "text/unicode.h"

namespace {

using namespace mlx_audio;
using namespace mlx_audio::text;

// Odd answers too: empty ones, and ones of more words than were asked.
std::vector<std::string> stub(const std::vector<std::string>& lines) {
  std::vector<std::string> out;
  for (const std::string& line : lines) {
    out.push_back(
        line.size() % 5 == 0       ? ""
            : line.size() % 7 == 0 ? "a^ɪ ɡˈo^ʊ"
                                   : line);
  }
  return out;
}

Phonemizer& phonemizer(unsigned which) {
  static const auto make_english = [](bool british) {
    std::unique_ptr<Phonemizer> out;
    try {
      out = std::make_unique<EnglishPhonemizer>(
          british, find_data_dir("") + "/g2p", stub);
    } catch (const Error&) {
      out = make_espeak_phonemizer(Language::es, stub);
    }
    return out;
  };
  static const std::unique_ptr<Phonemizer> all[] = {
      make_english(false),
      make_english(true),
      make_espeak_phonemizer(Language::hi, stub),
      make_phoneme_reader(Language::zh)};
  return *all[which % 4];
}

void require(bool good) {
  if (!good) {
    std::abort();
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) {
    return 0;
  }
  unsigned choice = data[0];
  std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  SplitOptions options;
  static constexpr size_t kLimits[] = {510, 60, 9, 1};
  options.max_phonemes = kLimits[(choice >> 2) & 3];
  options.first_chunk_phonemes = (choice & 0x10) != 0 ? 0 : 40;
  Phonemizer& p = phonemizer(choice);
  auto run = [&](ChunkStream& stream) {
    size_t last = 0;
    size_t total = 0;
    while (auto chunk = stream.next()) {
      require(count_code_points(chunk->phonemes) <= options.max_phonemes);
      require(chunk->begin >= last && chunk->begin <= chunk->end);
      require(chunk->end <= text.size());
      last = chunk->end;
      total += chunk->phonemes.size();
    }
    return total;
  };
  size_t at = 0;
  try {
    ChunkStream whole(text, p, options);
    size_t total = run(whole);
    // Read in odd pieces it must come out the same.
    ChunkStream pieces(
        [&](char* buffer, size_t room) {
          size_t n = std::min({room, text.size() - at, size_t(7)});
          text.copy(buffer, n, at);
          at += n;
          return n;
        },
        p,
        options);
    require(run(pieces) == total);
  } catch (const Error& e) {
    require(e.kind() == ErrorKind::invalid_argument);
  }
  return 0;
}
