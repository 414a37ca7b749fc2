// What the talker is given before the first frame.
#pragma once

#include <vector>

#include "models/csm/talker.h"

namespace mlx_audio::csm {

/// Speech that the prompt shows as already spoken: the text and its codes. The
/// model goes on in its voice and manner.
struct Segment {
  std::vector<int> text_ids; // of TextIds::said()
  mx::array codes; // [frames, groups]
  /// A frame of zeros says that the speech has ended. Without it the next
  /// frame goes on from the last.
  bool ended = true;
};

/// The segments, each its text, its frames and its end, then the text to say:
/// embeddings [positions, hidden].
mx::array make_prompt(
    const Talker& talker,
    const std::vector<Segment>& context,
    const std::vector<int>& text_ids); // may be empty

} // namespace mlx_audio::csm
