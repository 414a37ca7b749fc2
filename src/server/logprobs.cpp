#include "server/logprobs.h"

#include <algorithm>
#include <cmath>

namespace mlx_audio::server {

Json logprobs(const std::vector<TranscribedWord>& words) {
  Json out = Json::array();
  for (const auto& word : words) {
    Json bytes = Json::array();
    for (char c : word.text) {
      bytes.push_back(static_cast<unsigned char>(c));
    }
    out.push_back(
        {{"token", word.text},
         {"logprob", std::log(std::max(word.probability, 1e-10))},
         {"bytes", bytes}});
  }
  return out;
}

} // namespace mlx_audio::server
