// The built-in vocabularies: OpenAI's two lists of tokens, packed by
// scripts/whisper-vocabulary at build time and linked in by vocabulary.S.
#include <cstdint>
#include <vector>

#include <zlib.h>

#include "mlx_audio/error.h"
#include "models/whisper/tokenizer.h"

extern "C" {
extern const unsigned char mlx_audio_whisper_english[];
extern const unsigned char mlx_audio_whisper_english_end[];
extern const unsigned char mlx_audio_whisper_multilingual[];
extern const unsigned char mlx_audio_whisper_multilingual_end[];
}

namespace mlx_audio::whisper {

text::BpeSpec built_in_vocabulary(bool multilingual) {
  const unsigned char* begin =
      multilingual ? mlx_audio_whisper_multilingual : mlx_audio_whisper_english;
  const unsigned char* end = multilingual ? mlx_audio_whisper_multilingual_end
                                          : mlx_audio_whisper_english_end;
  // Tokens by rank, each a byte of length and its bytes, under zlib.
  std::vector<unsigned char> tokens(1u << 20);
  uLongf size = tokens.size();
  if (uncompress(
          tokens.data(), &size, begin, static_cast<uLong>(end - begin)) !=
      Z_OK) {
    throw Error(ErrorKind::internal, "the built-in vocabulary is broken");
  }
  text::BpeSpec spec;
  for (size_t at = 0; at < size;) {
    size_t length = tokens[at];
    spec.tokens.emplace_back(
        reinterpret_cast<const char*>(tokens.data()) + at + 1, length);
    at += 1 + length;
  }
  return spec;
}

} // namespace mlx_audio::whisper
