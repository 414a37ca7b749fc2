// What is drawn from, against the reference's filters.
#include <cmath>

#include <gtest/gtest.h>

#include "cases.h"
#include "nn/sampler.h"

namespace mlx_audio::csm {
namespace {

TEST(CsmSampler, FiltersLikeTheReference) {
  Case c = load_case("sampler");
  int run = 0;
  for (const Json& p : c.info["params"]["runs"]) {
    auto at = std::to_string(run++);
    auto values = [&](const std::string& name) {
      auto a = mx::contiguous(c.tensor(at + name));
      a.eval();
      return std::vector<float>(a.data<float>(), a.data<float>() + a.size());
    };
    auto logits = values(".logits");
    nn::filter_logits(
        logits, {.temperature = p["temperature"], .top_k = p["top_k"]});
    auto wanted = values(".filtered");
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
  EXPECT_EQ(run, 4);
}

} // namespace
} // namespace mlx_audio::csm
