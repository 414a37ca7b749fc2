// What causal decoders of codes carry from piece to piece.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "codecs/causal_conv.h"
#include "nn/kv_cache.h"

namespace mlx_audio::codecs {

/// What a sequence has left behind after its last piece; empty at the start.
struct DecoderState {
  std::optional<nn::KvCache> cache; // of the transformer
  std::vector<Past> pasts; // of the convolutions, in order
};

/// codes [frames, groups], the next frames of a sequence, to samples [frames *
/// samples a frame], computed: `decode` is given up to `piece` frames at a
/// time, so that memory does not grow with length.
mx::array decode_in_pieces(
    const mx::array& codes,
    DecoderState& state,
    int piece,
    const std::function<mx::array(const mx::array& codes)>& decode);

} // namespace mlx_audio::codecs
