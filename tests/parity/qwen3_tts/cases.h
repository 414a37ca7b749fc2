// Cases of the parity program: a tiny checkpoint with random weights, a request
// and what the reference makes of it.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include <nlohmann/json.hpp>

#include "models/qwen3_tts/network.h"

namespace mlx_audio::qwen3_tts {

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
};

/// Names of the cases for which `wanted(info)` holds.
std::vector<std::string> case_names(bool (*wanted)(const Json& info));

Case load_case(const std::string& name);
const Network& network_of(const Case& c);

/// The largest |a - b| / (1 + |b|); infinity if shapes differ.
double largest_difference(const mx::array& a, const mx::array& b);

/// Samples of a 16-bit mono wav file at 24 kHz.
mx::array read_pcm16(const std::string& path);

} // namespace mlx_audio::qwen3_tts
