#include "cases.h"

#include <cstdlib>
#include <map>
#include <memory>

namespace mlx_audio::csm {

namespace {

// The committed cases, or a folder that the parity program made from another
// seed.
std::string root() {
  const char* other = std::getenv("MLX_AUDIO_CSM_CASES");
  return other != nullptr ? other : TEST_DATA_DIR "/csm";
}

} // namespace

std::vector<std::string> case_names(bool (*wanted)(const Json& info)) {
  return testing::case_names(root(), wanted);
}

Case load_case(const std::string& name) {
  return testing::load_case(root(), name);
}

const Network& network_of(const Case& c) {
  static std::map<std::string, std::unique_ptr<Network>> loaded;
  auto& network = loaded[c.name];
  if (!network) {
    network = Network::load(c.checkpoint());
  }
  return *network;
}

} // namespace mlx_audio::csm
