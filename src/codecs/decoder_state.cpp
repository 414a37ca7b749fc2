#include "codecs/decoder_state.h"

#include <algorithm>

namespace mlx_audio::codecs {

mx::array decode_in_pieces(
    const mx::array& codes,
    DecoderState& state,
    int piece,
    const std::function<mx::array(const mx::array& codes)>& decode) {
  int frames = codes.shape(0);
  std::vector<mx::array> pieces;
  for (int at = 0; at < frames; at += piece) {
    int end = std::min(at + piece, frames);
    auto samples = decode(mx::slice(codes, {at, 0}, {end, codes.shape(1)}));
    // The past is computed too, lest it keep the graph of this piece alive.
    std::vector<mx::array> results{samples};
    for (const auto& past : state.pasts) {
      if (past) {
        results.push_back(*past);
      }
    }
    mx::eval(results);
    pieces.push_back(samples);
  }
  if (pieces.size() == 1) {
    return pieces[0];
  }
  auto all = pieces.empty() ? mx::zeros({0}) : mx::concatenate(pieces, 0);
  all.eval();
  return all;
}

} // namespace mlx_audio::codecs
