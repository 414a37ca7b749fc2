// Named intermediates of a run: for parity tests, and for `--dump`, which
// writes them to files that scripts/compare lays beside others.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "mlx/mlx.h"
#include "nn/dump.h"

namespace mlx_audio::nn {

namespace mx = mlx::core;

class Taps {
 public:
  void put(const std::string& name, const mx::array& value);
  /// Throws std::out_of_range.
  const mx::array& at(const std::string& name) const {
    return values_.at(name);
  }
  /// In the order in which they came.
  const std::vector<std::string>& names() const {
    return names_;
  }
  /// One safetensors file; its metadata holds the names in order.
  void save(const std::string& path) const;

 private:
  std::map<std::string, mx::array> values_;
  std::vector<std::string> names_;
};

inline void tap(Taps* taps, const char* name, const mx::array& value) {
  if (taps != nullptr) {
    taps->put(name, value);
  }
}

/// Writes the next file of the dump (nn/dump.h).
void dump(const Taps& taps);

} // namespace mlx_audio::nn
