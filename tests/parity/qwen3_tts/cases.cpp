#include "cases.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>

namespace mlx_audio::qwen3_tts {

namespace {

// The committed cases, or a folder that the parity program made from another
// seed.
std::string root() {
  const char* other = std::getenv("MLX_AUDIO_QWEN3_CASES");
  return other != nullptr ? other : TEST_DATA_DIR "/qwen3_tts";
}

Json read_json(const std::string& path) {
  std::ifstream file(path);
  return Json::parse(file);
}

} // namespace

std::vector<int> Case::ids(const std::string& tensor) const {
  auto a = mx::contiguous(golden.at(tensor));
  a.eval();
  return {a.data<int>(), a.data<int>() + a.size()};
}

std::vector<std::string> case_names(bool (*wanted)(const Json& info)) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(root())) {
    auto path = entry.path() / "case.json";
    if (std::filesystem::exists(path) && wanted(read_json(path))) {
      names.push_back(entry.path().filename());
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

Case load_case(const std::string& name) {
  Case c{.name = name, .folder = root() + "/" + name, .info = {}, .golden = {}};
  c.info = read_json(c.folder + "/case.json");
  auto golden = c.folder + "/golden.safetensors";
  if (std::filesystem::exists(golden)) {
    c.golden = mx::load_safetensors(golden).first;
  }
  return c;
}

const Network& network_of(const Case& c) {
  static std::map<std::string, std::unique_ptr<Network>> loaded;
  auto& network = loaded[c.name];
  if (!network) {
    auto checkpoint = c.info["checkpoint"].get<std::string>();
    network = Network::load(
        std::filesystem::weakly_canonical(c.folder + "/" + checkpoint));
  }
  return *network;
}

double largest_difference(const mx::array& a, const mx::array& b) {
  if (a.shape() != b.shape()) {
    return std::numeric_limits<double>::infinity();
  }
  auto x = mx::astype(a, mx::float32);
  auto y = mx::astype(b, mx::float32);
  auto d = mx::abs(x - y) / (mx::array(1.0f) + mx::abs(y));
  return mx::max(d).item<float>();
}

mx::array read_pcm16(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string bytes(std::istreambuf_iterator<char>(file), {});
  const size_t header = 44;
  std::vector<float> samples;
  for (size_t i = header; i + 1 < bytes.size(); i += 2) {
    auto low = static_cast<uint8_t>(bytes[i]);
    auto high = static_cast<int8_t>(bytes[i + 1]);
    samples.push_back(static_cast<float>(high * 256 + low) / 32768.0f);
  }
  return mx::array(samples.data(), {static_cast<int>(samples.size())});
}

} // namespace mlx_audio::qwen3_tts
