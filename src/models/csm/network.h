// A CSM checkpoint: language model and codec.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "codecs/mimi/codec.h"
#include "models/csm/config.h"
#include "models/csm/talker.h"

namespace mlx_audio::csm {

struct Network {
  /// Loads the checkpoint in `folder` in the original's layout (torchtune's
  /// names) or mlx-community's; `dtype` of the talker's weights is the
  /// checkpoint's if absent. Every tensor must be there, and no other. Mimi's
  /// file lies in `folder` or in its `mimi/`.
  static std::unique_ptr<Network> load(
      const std::string& folder,
      std::optional<mx::Dtype> dtype = std::nullopt);

  Config config;
  GenerationConfig generation;
  Talker talker;
  std::unique_ptr<codecs::mimi::Codec> codec;
  uint64_t weight_bytes = 0; // of the talker's file
};

} // namespace mlx_audio::csm
