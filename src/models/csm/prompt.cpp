#include "models/csm/prompt.h"

namespace mlx_audio::csm {

mx::array make_prompt(
    const Talker& talker,
    const std::vector<Segment>& context,
    const std::vector<int>& text_ids) {
  std::vector<mx::array> parts;
  for (const Segment& segment : context) {
    parts.push_back(talker.embed_text(segment.text_ids));
    auto codes = segment.codes;
    if (segment.ended) {
      codes = mx::concatenate(
          {codes, mx::zeros({1, codes.shape(1)}, codes.dtype())}, 0);
    }
    parts.push_back(talker.embed_frames(codes));
  }
  if (!text_ids.empty()) {
    parts.push_back(talker.embed_text(text_ids));
  }
  return mx::concatenate(parts, 0);
}

} // namespace mlx_audio::csm
