// What bf16 and quantized weights change: log-mel distances to our own f32, of
// checkpoints that our own `convert` makes, beside what the int8 ONNX export
// changes (goldens in tests/data/kokoro).
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>

#include <unistd.h>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "convert/convert.h"
#include "models/kokoro/network.h"
#include "testing/models.h"

namespace mlx_audio::kokoro {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

struct Spoken {
  int frames;
  mx::array samples;
};

const Json& cases() {
  static const Json all = [] {
    std::ifstream file(TEST_DATA_DIR "/kokoro/case.json");
    return Json::parse(file)["cases"];
  }();
  return all;
}

// The cases of the goldens, without noise.
std::map<std::string, Spoken> speak_all(const Network& network) {
  static const auto tensors =
      mx::load_safetensors(TEST_DATA_DIR "/kokoro/golden.safetensors").first;
  std::map<std::string, Spoken> spoken;
  for (const auto& one : cases()) {
    auto name = one["name"].get<std::string>();
    if (name == "en_us_500") {
      continue; // long; the others suffice
    }
    auto ids = tensors.at(name + ".ids");
    mx::eval(ids);
    auto result = network(
        {ids.data<int>(), ids.data<int>() + ids.size()},
        tensors.at(name + ".ref_s"),
        one["speed"].get<float>(),
        std::nullopt);
    mx::eval(result.samples);
    int frames = 0;
    for (int d : result.durations) {
      frames += d;
    }
    spoken.emplace(name, Spoken{frames, result.samples});
  }
  return spoken;
}

const std::map<std::string, Spoken>& full_precision() {
  static const auto spoken =
      speak_all(*Network::load(testing::model_folder("kokoro-f32")));
  return spoken;
}

struct Distance {
  double log_mel = 0; // mean over the cases
  double frames = 0; // mean of |frames - frames in f32| / frames in f32
};

Distance distance_to_f32(const Network& network) {
  Distance d;
  const auto& want = full_precision();
  for (const auto& [name, got] : speak_all(network)) {
    const auto& reference = want.at(name);
    d.log_mel += testing::log_mel_distance(got.samples, reference.samples);
    d.frames += std::abs(got.frames - reference.frames) /
        static_cast<double>(reference.frames);
  }
  d.log_mel /= static_cast<double>(want.size());
  d.frames /= static_cast<double>(want.size());
  return d;
}

// Mean distance of the int8 ONNX export to torch's f32 over the same cases.
double onnx_distance() {
  double sum = 0;
  int count = 0;
  for (const auto& one : cases()) {
    if (one["name"] != "en_us_500") {
      sum += one["onnx_logmel_mae"].get<double>();
      ++count;
    }
  }
  return sum / count;
}

void report(const char* what, const Distance& d) {
  std::printf(
      "%s: log-mel distance to f32 %.3f (int8 ONNX: %.3f), length differs by "
      "%.2f %%\n",
      what,
      d.log_mel,
      onnx_distance(),
      100 * d.frames);
}

TEST(KokoroPrecision, Bf16IsNearerToF32ThanInt8Onnx) {
  auto d = distance_to_f32(*Network::load(testing::model_folder("kokoro")));
  report("bf16", d);
  EXPECT_LT(d.log_mel, onnx_distance());
  EXPECT_LT(d.frames, 0.01);
}

class KokoroQuantized : public ::testing::TestWithParam<int> {};

TEST_P(KokoroQuantized, LoadsAndStaysNearF32) {
  const int bits = GetParam();
  fs::path folder = fs::temp_directory_path() /
      ("kokoro-q" + std::to_string(bits) + "-" + std::to_string(getpid()));
  fs::remove_all(folder);
  convert::ConvertOptions options;
  options.source = testing::model_folder("kokoro-f32");
  options.output = folder.string();
  options.quantize.emplace().bits = bits;
  auto made = convert::convert(options);
  EXPECT_LT(made.bytes_after, made.bytes_before);
  auto network = Network::load(folder.string());
  auto d = distance_to_f32(*network);
  report((std::to_string(bits) + " bits").c_str(), d);
  // Truth is f32; what each width costs was measured, with a third to spare.
  const std::map<int, Distance> most = {
      {8, {0.25, 0.01}}, {6, {0.52, 0.012}}, {4, {0.60, 0.02}}};
  EXPECT_LT(d.log_mel, most.at(bits).log_mel);
  EXPECT_LT(d.frames, most.at(bits).frames);
  network.reset();
  fs::remove_all(folder);
}

INSTANTIATE_TEST_SUITE_P(Bits, KokoroQuantized, ::testing::Values(8, 6, 4));

} // namespace
} // namespace mlx_audio::kokoro
