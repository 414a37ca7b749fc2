// What was made of recordings of voices, kept for the next request.
#pragma once

#include <algorithm>
#include <list>
#include <memory>

#include "mlx_audio/speech.h"

namespace mlx_audio {

template <class Voice>
class ReferenceCache {
 public:
  /// The voice of `reference`, made by make() unless it is among the recent
  /// ones.
  template <class Make>
  std::shared_ptr<const Voice> get(
      const VoiceReference& reference,
      const Make& make) {
    auto found =
        std::find_if(recent_.begin(), recent_.end(), [&](const Entry& entry) {
          return same(entry.reference, reference);
        });
    if (found != recent_.end()) {
      recent_.splice(recent_.begin(), recent_, found);
    } else {
      recent_.push_front({reference, make()});
      if (recent_.size() > kKept) {
        recent_.pop_back();
      }
    }
    return recent_.front().voice;
  }

 private:
  static constexpr size_t kKept = 8;

  static bool same(const VoiceReference& a, const VoiceReference& b) {
    return a.x_vector_only == b.x_vector_only && a.text == b.text &&
        a.audio.sample_rate == b.audio.sample_rate &&
        a.audio.channels == b.audio.channels &&
        a.audio.samples == b.audio.samples;
  }

  struct Entry {
    VoiceReference reference;
    std::shared_ptr<const Voice> voice;
  };
  std::list<Entry> recent_; // newest first
};

} // namespace mlx_audio
