#include "text/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "mlx_audio/error.h"

namespace mlx_audio::text {

Pattern::Pattern(std::string_view source, const std::string& name) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code = pcre2_compile(
      reinterpret_cast<PCRE2_SPTR>(source.data()),
      source.size(),
      PCRE2_UTF | PCRE2_UCP,
      &error,
      &offset,
      nullptr);
  if (code == nullptr) {
    throw Error(
        ErrorKind::corrupt_data,
        "pattern '" + name + "' is damaged at byte " + std::to_string(offset));
  }
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE); // slower, but works without
  code_ = code;
  data_ = pcre2_match_data_create_from_pattern(code, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_set_match_limit(context, 200000);
  context_ = context;
}

Pattern::~Pattern() {
  pcre2_match_context_free(static_cast<pcre2_match_context*>(context_));
  pcre2_match_data_free(static_cast<pcre2_match_data*>(data_));
  pcre2_code_free(static_cast<pcre2_code*>(code_));
}

std::pair<size_t, size_t> Pattern::search(std::string_view text, size_t from) {
  auto* data = static_cast<pcre2_match_data*>(data_);
  int found = pcre2_match(
      static_cast<pcre2_code*>(code_),
      reinterpret_cast<PCRE2_SPTR>(text.data()),
      text.size(),
      from,
      PCRE2_NO_UTF_CHECK,
      data,
      static_cast<pcre2_match_context*>(context_));
  if (found <= 0) {
    return {std::string_view::npos, std::string_view::npos};
  }
  const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(data);
  return {ends[0], ends[1]};
}

size_t Pattern::length(std::string_view text) {
  auto [begin, end] = search(text);
  return begin == std::string_view::npos ? 0 : end - begin;
}

} // namespace mlx_audio::text
