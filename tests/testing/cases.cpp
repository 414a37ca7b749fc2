#include "testing/cases.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>

namespace mlx_audio::testing {

namespace {

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

std::vector<std::string> case_names(
    const std::string& root,
    bool (*wanted)(const Json& info)) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(root)) {
    auto path = entry.path() / "case.json";
    if (std::filesystem::exists(path) && wanted(read_json(path))) {
      names.push_back(entry.path().filename());
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

Case load_case(const std::string& root, const std::string& name) {
  Case c{.name = name, .folder = root + "/" + name, .info = {}, .golden = {}};
  c.info = read_json(c.folder + "/case.json");
  auto golden = c.folder + "/golden.safetensors";
  if (std::filesystem::exists(golden)) {
    c.golden = mx::load_safetensors(golden).first;
  }
  return c;
}

std::string Case::checkpoint() const {
  auto relative = info.at("checkpoint").get<std::string>();
  return std::filesystem::weakly_canonical(folder + "/" + relative);
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

mx::array as_array(const std::vector<float>& values) {
  return mx::array(values.data(), {static_cast<int>(values.size())});
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

} // namespace mlx_audio::testing
