// A checkpoint's vocabulary: the first byte says which kind of file the rest
// is.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "mlx_audio/error.h"
#include "text/bpe.h"
#include "text/tokenizer_files.h"

using namespace mlx_audio;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) {
    return 0;
  }
  std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    auto spec = [&] {
      switch (data[0] % 3) {
        case 0:
          return text::parse_tokenizer_json(text);
        case 1:
          return text::parse_tiktoken(text);
        default: {
          auto cut = text.find('\0');
          return cut == std::string_view::npos
              ? text::parse_vocab_merges(text, "")
              : text::parse_vocab_merges(
                    text.substr(0, cut), text.substr(cut + 1));
        }
      }
    }();
    text::BpeTokenizer tokenizer(std::move(spec));
    (void)tokenizer.decode(tokenizer.encode("Hello, wörld 今日"));
  } catch (const Error&) {
  }
  return 0;
}
