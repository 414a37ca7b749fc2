// What `mlx-audio enhance` and mlx_audio.sts.generate do.
#pragma once

#include <string>
#include <vector>

#include "mlx_audio/enhancement.h"

namespace mlx_audio::cli {

struct EnhanceJob {
  std::vector<std::string> files; ///< files, folders, "-"
  std::string model;
  bool microphone = false; ///< instead of files
  int device = -1; ///< of the microphone; -1: the default one
  bool play = false; ///< the result; then without `output` no file
  std::string output; ///< file, folder or "-"
  std::string format; ///< of the result; empty: by its name, else wav
  std::string sample_format; ///< empty: as the input
  std::string segments = "crossfade";
  std::string raw; ///< the input is raw samples, RATE:CHANNELS:FORMAT
  std::string dump; ///< folder for intermediates
  int sample_rate = -1; ///< of the result; -1: the model's
  bool keep_rate = false;
  bool dithered = false;
  bool verbose = false;
  EnhancerOptions load = {};
  EnhancementOptions options = {};
};

void run_enhance(EnhanceJob job);

} // namespace mlx_audio::cli
