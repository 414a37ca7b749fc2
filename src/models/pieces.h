// Long texts cut into pieces that one generation can speak.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace mlx_audio {

struct TextPiece {
  size_t begin; // bytes of the text, blanks at the ends left out
  size_t end;
};

/// Counts what is limited: tokens.
using CountTokens = std::function<int(std::string_view text)>;

/// One piece if the text has at most `whole` tokens; else pieces of up to
/// `most`, cut behind sentences of any script, else behind words, else
/// characters. Nothing but blanks is dropped. The text is valid UTF-8.
std::vector<TextPiece> split_pieces(
    std::string_view text,
    const CountTokens& count,
    int whole,
    int most);

} // namespace mlx_audio
