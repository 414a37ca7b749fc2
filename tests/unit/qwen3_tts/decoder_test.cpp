// The transformer's cache: pieces against the whole, windows against a mask
// over everything.
#include "nn/decoder.h"

#include <gtest/gtest.h>

#include "kernels/cpu_op.h"
#include "mlx/random.h"
#include "nn/window.h"

namespace mlx_audio::nn {
namespace {

DecoderConfig tiny(int window) {
  return {
      .layers = 2,
      .hidden = 24,
      .intermediate = 40,
      .heads = 4,
      .kv_heads = 2,
      .head_dim = 8,
      .qk_norm = window == 0,
      .layer_scale = window != 0,
      .window = window};
}

std::map<std::string, mx::array> random_tensors(const DecoderConfig& c) {
  std::map<std::string, mx::array> tensors;
  uint64_t seed = 1;
  auto add = [&](const std::string& name, const mx::Shape& shape) {
    tensors.emplace(
        name,
        mx::random::normal(
            shape, mx::float32, 0.0f, 0.3f, mx::random::key(seed++)));
  };
  for (int i = 0; i < c.layers; ++i) {
    std::string at = "m.layers." + std::to_string(i);
    add(at + ".input_layernorm.weight", {c.hidden});
    add(at + ".post_attention_layernorm.weight", {c.hidden});
    add(at + ".self_attn.q_norm.weight", {c.head_dim});
    add(at + ".self_attn.k_norm.weight", {c.head_dim});
    add(at + ".self_attn_layer_scale.scale", {c.hidden});
    add(at + ".mlp_layer_scale.scale", {c.hidden});
    add(at + ".self_attn.q_proj.weight", {c.heads * c.head_dim, c.hidden});
    add(at + ".self_attn.k_proj.weight", {c.kv_heads * c.head_dim, c.hidden});
    add(at + ".self_attn.v_proj.weight", {c.kv_heads * c.head_dim, c.hidden});
    add(at + ".self_attn.o_proj.weight", {c.hidden, c.heads * c.head_dim});
    if (c.qkv_bias) {
      add(at + ".self_attn.q_proj.bias", {c.heads * c.head_dim});
      add(at + ".self_attn.k_proj.bias", {c.kv_heads * c.head_dim});
      add(at + ".self_attn.v_proj.bias", {c.kv_heads * c.head_dim});
    }
    add(at + ".mlp.gate_proj.weight", {c.intermediate, c.hidden});
    add(at + ".mlp.up_proj.weight", {c.intermediate, c.hidden});
    add(at + ".mlp.down_proj.weight", {c.hidden, c.intermediate});
  }
  add("m.norm.weight", {c.hidden});
  return tensors;
}

Decoder random_decoder(const DecoderConfig& c) {
  Weights weights(random_tensors(c), "random");
  return Decoder(weights, "m", c);
}

mx::array input(int batch, int steps, int dim) {
  return mx::random::normal(
      {batch, steps, dim}, mx::float32, 0.0f, 1.0f, mx::random::key(99));
}

mx::array steps_of(const mx::array& x, int from, int to) {
  return mx::slice(x, {0, from, 0}, {x.shape(0), to, x.shape(2)});
}

float difference(const mx::array& a, const mx::array& b) {
  return mx::max(mx::abs(a - b)).item<float>();
}

class DecoderCache : public ::testing::TestWithParam<int> {};

TEST_P(DecoderCache, PiecesGiveWhatTheWholeGives) {
  auto config = tiny(GetParam());
  auto decoder = random_decoder(config);
  auto x = input(1, 20, config.hidden);
  auto whole_cache = decoder.make_cache();
  KvCache* whole_pointer = &whole_cache;
  auto whole = decoder(x, {&whole_pointer, 1});
  auto cache = decoder.make_cache();
  KvCache* pointer = &cache;
  int at = 0;
  for (int steps : {1, 7, 1, 1, 4, 6}) {
    auto piece = decoder(steps_of(x, at, at + steps), {&pointer, 1});
    EXPECT_LE(difference(piece, steps_of(whole, at, at + steps)), 2e-5f)
        << "positions " << at << ".." << at + steps;
    at += steps;
    EXPECT_EQ(cache.length(), at);
  }
  EXPECT_EQ(at, 20);
}

INSTANTIATE_TEST_SUITE_P(Windows, DecoderCache, ::testing::Values(0, 2, 5, 64));

TEST(Decoder, AWindowForgetsWhatIsOutOfReach) {
  // Two layers of window 5 reach 8 positions back.
  auto config = tiny(5);
  auto decoder = random_decoder(config);
  auto x = input(1, 12, config.hidden);
  auto changed = mx::concatenate(
      {steps_of(x, 0, 3) * mx::array(-2.0f), steps_of(x, 3, 12)}, 1);
  auto run = [&](const mx::array& y) {
    auto cache = decoder.make_cache();
    KvCache* pointer = &cache;
    return decoder(y, {&pointer, 1});
  };
  auto a = run(x);
  auto b = run(changed);
  EXPECT_LE(difference(steps_of(a, 11, 12), steps_of(b, 11, 12)), 1e-6f);
  EXPECT_GE(difference(steps_of(a, 10, 11), steps_of(b, 10, 11)), 1e-6f);
}

TEST(Decoder, SequencesOfABatchAreAlone) {
  auto config = tiny(0);
  auto decoder = random_decoder(config);
  auto x = input(3, 6, config.hidden);
  auto row = [&](int b) {
    return mx::slice(x, {b, 0, 0}, {b + 1, 6, config.hidden});
  };
  std::vector<KvCache> caches;
  std::vector<KvCache> alone;
  for (int b = 0; b < 3; ++b) {
    caches.push_back(decoder.make_cache());
    alone.push_back(decoder.make_cache());
    // Different pasts.
    for (auto* list : {&caches, &alone}) {
      KvCache* pointer = &(*list)[b];
      mx::eval(decoder(steps_of(row(b), 0, b + 1), {&pointer, 1}));
    }
  }
  std::vector<KvCache*> pointers{&caches[0], &caches[1], &caches[2]};
  auto together = decoder(steps_of(x, 4, 5), pointers);
  for (int b = 0; b < 3; ++b) {
    KvCache* pointer = &alone[b];
    auto one = decoder(steps_of(row(b), 4, 5), {&pointer, 1});
    auto same = mx::slice(together, {b, 0, 0}, {b + 1, 1, config.hidden});
    EXPECT_LE(difference(one, same), 1e-5f) << b;
  }
}

// Llama's rotary pairs and stretched frequencies: the kernel against the
// composition, whose rotations are MLX's.
TEST(Decoder, InterleavedAndScaledRotationsAreMlxs) {
  auto config = tiny(0);
  config.head_dim = 40; // 20 pairs: a vector of any set, and a rest
  config.rope_theta = 500000;
  config.rope_scaling = RopeScaling{.context = 64};
  for (bool interleaved : {false, true}) {
    config.rope_interleaved = interleaved;
    auto run = [&] {
      auto decoder = random_decoder(config);
      auto cache = decoder.make_cache();
      KvCache* pointer = &cache;
      auto x = input(1, 40, config.hidden);
      auto first = decoder(steps_of(x, 0, 33), {&pointer, 1});
      auto rest = decoder(steps_of(x, 33, 40), {&pointer, 1});
      auto y = mx::concatenate({first, rest}, 1);
      y.eval();
      return y;
    };
    auto kernel = run();
    kernels::ScopedMlxOps mlx;
    EXPECT_LE(difference(kernel, run()), 2e-5f) << interleaved;
  }
}

// Half-split weights are interleaved ones with the rows of each head moved.
TEST(Decoder, InterleavedPairsAreHalvesMoved) {
  auto config = tiny(0);
  config.qk_norm = false;
  auto move = [&](const mx::array& w, int heads) {
    auto pairs = mx::reshape(w, {heads, config.head_dim / 2, 2, config.hidden});
    return mx::reshape(mx::transpose(pairs, {0, 2, 1, 3}), w.shape());
  };
  auto run = [&](bool interleaved) {
    auto tensors = random_tensors(config);
    config.rope_interleaved = interleaved;
    if (!interleaved) {
      for (int i = 0; i < config.layers; ++i) {
        std::string at = "m.layers." + std::to_string(i) + ".self_attn.";
        auto& q = tensors.at(at + "q_proj.weight");
        auto& k = tensors.at(at + "k_proj.weight");
        q = move(q, config.heads);
        k = move(k, config.kv_heads);
      }
    }
    Weights weights(std::move(tensors), "random");
    Decoder decoder(weights, "m", config);
    auto cache = decoder.make_cache();
    KvCache* pointer = &cache;
    auto y = decoder(input(1, 9, config.hidden), {&pointer, 1});
    y.eval();
    return y;
  };
  EXPECT_LE(difference(run(true), run(false)), 1e-5f);
}

// Values of Hugging Face's _compute_llama3_parameters for dim 8, theta 500000
// and Llama 3.2's scaling.
TEST(Rope, SlowRotationsAreStretched) {
  auto plain = rope_frequencies(8, 500000);
  auto scaled = rope_frequencies(8, 500000, RopeScaling{});
  const double frequencies[] = {1, 0.0376060309, 0.00141421356, 5.3182959e-5};
  for (int i = 0; i < 4; ++i) {
    EXPECT_NEAR(plain[i] / frequencies[i], 1, 1e-6) << i;
  }
  EXPECT_DOUBLE_EQ(scaled[0], plain[0]);
  EXPECT_DOUBLE_EQ(scaled[1], plain[1]);
  // 1.844 turns in 8192 positions: (1.844 - 1) / 3 of it stays.
  EXPECT_NEAR(scaled[2], 4.295568e-4, 1e-9);
  EXPECT_DOUBLE_EQ(scaled[3], plain[3] / 32);
}

// Biases, a past that is read once for all heads of a kv head, and prompts of
// few and of many rows.
TEST(Decoder, KernelEqualsTheComposition) {
  auto config = tiny(0);
  config.heads = 32;
  config.kv_heads = 16;
  config.head_dim = 128;
  config.qk_norm = false;
  config.qkv_bias = true;
  auto run = [&] {
    auto decoder = random_decoder(config);
    auto x = input(1, 600, config.hidden);
    auto cache = decoder.make_cache();
    KvCache* pointer = &cache;
    std::vector<mx::array> parts;
    int at = 0;
    for (int steps : {9, 570, 1, 2, 18}) {
      parts.push_back(decoder(steps_of(x, at, at + steps), {&pointer, 1}));
      at += steps;
    }
    auto y = mx::concatenate(parts, 1);
    y.eval();
    return y;
  };
  auto ours = run();
  kernels::ScopedMlxOps mlx;
  auto want = run();
  EXPECT_EQ(ours.shape(), (mx::Shape{1, 600, config.hidden}));
  // f32 sums in other orders.
  EXPECT_LE(difference(ours, want), 2e-5f);
}

TEST(WindowBias, IsNothingWhereCausalitySaysItAll) {
  EXPECT_FALSE(window_bias(4, 4, 0));
  EXPECT_FALSE(window_bias(4, 4, 4));
  auto bias = window_bias(2, 4, 2);
  ASSERT_TRUE(bias);
  bias->eval();
  std::vector<bool> seen;
  for (size_t i = 0; i < bias->size(); ++i) {
    seen.push_back(bias->data<float>()[i] == 0.0f);
  }
  EXPECT_EQ(
      seen,
      (std::vector<bool>{false, true, true, false, false, false, true, true}));
}

} // namespace
} // namespace mlx_audio::nn
