// Cases of the parity programs: a checkpoint with random weights, a request and
// what the reference makes of it.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include <nlohmann/json.hpp>

#include "mlx/mlx.h"

namespace mlx_audio::testing {

namespace mx = mlx::core;
using Json = nlohmann::json;

struct Case {
  std::string name;
  std::string folder;
  Json info;
  std::unordered_map<std::string, mx::array> golden;

  bool has(const std::string& tensor) const {
    return golden.count(tensor) != 0;
  }
  const mx::array& tensor(const std::string& name) const {
    return golden.at(name);
  }
  std::vector<int> ids(const std::string& tensor) const;
  /// The checkpoint's folder.
  std::string checkpoint() const;
};

/// Names of the cases in `root` for which `wanted(info)` holds.
std::vector<std::string> case_names(
    const std::string& root,
    bool (*wanted)(const Json& info));

Case load_case(const std::string& root, const std::string& name);

/// The largest |a - b| / (1 + |b|); infinity if shapes differ.
double largest_difference(const mx::array& a, const mx::array& b);

mx::array as_array(const std::vector<float>& values);

/// Samples of a 16-bit mono wav file.
mx::array read_pcm16(const std::string& path);

} // namespace mlx_audio::testing
