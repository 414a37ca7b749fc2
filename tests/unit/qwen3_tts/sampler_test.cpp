#include "nn/sampler.h"

#include <cmath>
#include <fstream>
#include <limits>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "mlx/mlx.h"

namespace mlx_audio::nn {
namespace {

namespace mx = mlx::core;
using Json = nlohmann::json;

std::vector<float> floats(const mx::array& a) {
  auto x = mx::contiguous(a);
  x.eval();
  return {x.data<float>(), x.data<float>() + x.size()};
}

// Against the reference's filtered logits, made by Hugging Face's processors.
TEST(Sampler, FiltersLikeTheReference) {
  std::string folder = TEST_DATA_DIR "/qwen3_tts/sampler/";
  std::ifstream file(folder + "case.json");
  Json params = Json::parse(file)["params"];
  auto golden = mx::load_safetensors(folder + "golden.safetensors").first;
  int vocab = params["vocab_size"];
  int end = params["codec_eos_token_id"];
  int run = 0;
  for (const Json& p : params["runs"]) {
    auto at = std::to_string(run++);
    auto logits = floats(golden.at(at + ".logits"));
    auto h = mx::contiguous(golden.at(at + ".history"));
    h.eval();
    std::span<const int> history(h.data<int>(), h.size());
    Sampling s{
        .temperature = p["temperature"],
        .top_k = p["top_k"],
        .top_p = p["top_p"],
        .repetition_penalty = p["repetition_penalty"]};
    penalize_repetition(logits, history, s.repetition_penalty);
    for (int i = vocab - 1024; i < vocab; ++i) {
      if (i != end || history.size() < 2) {
        logits[i] = -std::numeric_limits<float>::infinity();
      }
    }
    filter_logits(logits, s);
    auto wanted = floats(golden.at(at + ".filtered"));
    ASSERT_EQ(logits.size(), wanted.size());
    for (size_t i = 0; i < wanted.size(); ++i) {
      if (std::isinf(wanted[i])) {
        EXPECT_EQ(logits[i], wanted[i]) << "run " << at << " token " << i;
      } else {
        EXPECT_NEAR(logits[i], wanted[i], 1e-5 * (1 + std::abs(wanted[i])))
            << "run " << at << " token " << i;
      }
    }
  }
  EXPECT_GE(run, 4);
}

TEST(Sampler, MinPDropsTheUnlikely) {
  std::vector<float> logits{0.0f, std::log(0.5f), std::log(0.05f)};
  filter_logits(logits, {.min_p = 0.1f});
  EXPECT_EQ(logits[0], 0.0f);
  EXPECT_FALSE(std::isinf(logits[1]));
  EXPECT_TRUE(std::isinf(logits[2]));
}

TEST(Sampler, TopPKeepsTheBestEvenAtZero) {
  std::vector<float> logits{1.0f, 3.0f, 2.0f};
  filter_logits(logits, {.top_p = 0.0f});
  EXPECT_TRUE(std::isinf(logits[0]));
  EXPECT_EQ(logits[1], 3.0f);
  EXPECT_TRUE(std::isinf(logits[2]));
}

TEST(Sampler, RepetitionCountsATokenOnce) {
  std::vector<float> logits{2.0f, -2.0f, 2.0f};
  std::vector<int> history{0, 0, 1, 7, -1};
  penalize_repetition(logits, history, 2.0f);
  EXPECT_EQ(logits, (std::vector<float>{1.0f, -4.0f, 2.0f}));
}

TEST(Sampler, DrawsByProbabilityAndSeed) {
  std::vector<float> logits{std::log(0.7f), std::log(0.2f), std::log(0.1f)};
  std::mt19937_64 random(7);
  std::vector<int> counts(3);
  for (int i = 0; i < 20000; ++i) {
    ++counts[draw(logits, random)];
  }
  EXPECT_NEAR(counts[0] / 20000.0, 0.7, 0.015);
  EXPECT_NEAR(counts[1] / 20000.0, 0.2, 0.015);
  EXPECT_NEAR(counts[2] / 20000.0, 0.1, 0.015);
  std::mt19937_64 a(3);
  std::mt19937_64 b(3);
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(draw(logits, a), draw(logits, b));
  }
}

TEST(Sampler, TemperatureZeroTakesTheFirstBest) {
  std::vector<float> logits{1.0f, 5.0f, 5.0f};
  std::mt19937_64 random(1);
  EXPECT_EQ(sample(logits, {.temperature = 0}, random), 1);
}

} // namespace
} // namespace mlx_audio::nn
