#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "mlx_audio/error.h"
#include "text/bpe.h"

namespace mlx_audio::text {

const char* const kGpt2Pattern =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+"
    "|\\s+(?!\\S)|\\s+";

const char* const kQwenPattern =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}"
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

struct PieceSplitter::State {
  pcre2_code* code = nullptr;

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    pcre2_code_free(code);
  }
};

PieceSplitter::PieceSplitter(const std::string& pattern)
    : state_(std::make_unique<State>()) {
  int error = 0;
  PCRE2_SIZE at = 0;
  if (pattern.size() <= 8192) { // patterns come with foreign checkpoints
    state_->code = pcre2_compile(
        reinterpret_cast<PCRE2_SPTR>(pattern.data()),
        pattern.size(),
        PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C,
        &error,
        &at,
        nullptr);
  }
  if (state_->code == nullptr) {
    throw Error(
        ErrorKind::corrupt_data,
        "the tokenizer's pattern '" + pattern.substr(0, 60) +
            "' does not compile at character " + std::to_string(at));
  }
  pcre2_jit_compile(state_->code, PCRE2_JIT_COMPLETE); // plain matching if not
}

PieceSplitter::~PieceSplitter() = default;
PieceSplitter::PieceSplitter(PieceSplitter&&) noexcept = default;
PieceSplitter& PieceSplitter::operator=(PieceSplitter&&) noexcept = default;

std::vector<std::string_view> PieceSplitter::split(
    std::string_view text) const {
  std::vector<std::string_view> pieces;
  std::unique_ptr<pcre2_match_data, void (*)(pcre2_match_data*)> match(
      pcre2_match_data_create_from_pattern(state_->code, nullptr),
      pcre2_match_data_free);
  std::unique_ptr<pcre2_match_context, void (*)(pcre2_match_context*)> context(
      pcre2_match_context_create(nullptr), pcre2_match_context_free);
  pcre2_set_match_limit(context.get(), 1'000'000);
  size_t from = 0; // start of what is not yet in a piece
  size_t search = 0;
  while (search < text.size()) {
    int count = pcre2_match(
        state_->code,
        reinterpret_cast<PCRE2_SPTR>(text.data()),
        text.size(),
        search,
        0,
        match.get(),
        context.get());
    if (count == PCRE2_ERROR_NOMATCH) {
      break;
    }
    if (count < 0) {
      throw Error(
          ErrorKind::invalid_argument,
          "text cannot be tokenized at byte " + std::to_string(search) +
              " (PCRE2 error " + std::to_string(count) + ")",
          "it must be valid UTF-8");
    }
    const PCRE2_SIZE* range = pcre2_get_ovector_pointer(match.get());
    if (range[1] <= range[0]) { // an empty match: step over one character
      ++search;
      while (search < text.size() &&
             (static_cast<unsigned char>(text[search]) & 0xc0) == 0x80) {
        ++search;
      }
      continue;
    }
    if (range[0] > from) {
      pieces.push_back(text.substr(from, range[0] - from));
    }
    pieces.push_back(text.substr(range[0], range[1] - range[0]));
    from = search = range[1];
  }
  if (from < text.size()) {
    pieces.push_back(text.substr(from));
  }
  return pieces;
}

} // namespace mlx_audio::text
