// Where intermediates of runs go, for those who know nothing of arrays.
#pragma once

#include <string>

namespace mlx_audio::nn {

/// From now on runs of networks that have taps (nn/taps.h) write them to
/// `folder`, as 000.safetensors and so on. Empty: not any more.
void set_dump_folder(const std::string& folder);
bool dumping();
/// Files written so far.
int dump_count();

} // namespace mlx_audio::nn
