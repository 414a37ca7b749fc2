// Packed products and attention against linear() and attention() as MLX ops.
// CPUs without the instructions never call them: there is nothing to prove.
#include "kernels/packed.h"

#include <gtest/gtest.h>

#include "kernels/attention.h"
#include "kernels/cpu_op.h"
#include "kernels/simd.h"
#include "unit/kernels/compare.h"

namespace mlx_audio::kernels {
namespace {

// Of the largest result: f16 weights are exact, so that only the f32 chain of
// `in` sums rounds, a random walk; bf16 rounds terms by 2^-9, bytes by 1/254.
float tolerance(PackedType type, int in) {
  switch (type) {
    case PackedType::bf16:
      return 1e-2f;
    case PackedType::int8:
      return 2e-2f;
    default:
      return std::numeric_limits<float>::epsilon() *
          std::sqrt(static_cast<float>(in));
  }
}

TEST(Packed, LinearEqualsItsDefinition) {
  if (!packed_available()) {
    return;
  }
  for (auto type :
       {PackedType::f32, PackedType::f16, PackedType::bf16, PackedType::int8}) {
    for (auto [m, in, out] :
         {std::array{1, 64, 64},
          {1, 512, 51865},
          {5, 80, 70},
          {7, 384, 1152},
          {47, 1536, 130},
          {300, 240, 384}}) {
      SCOPED_TRACE(
          std::to_string(static_cast<int>(type)) + ": " + std::to_string(m) +
          " x " + std::to_string(in) + " x " + std::to_string(out));
      LinearWeight w{
          .weight = mx::astype(mx::random::normal({out, in}), mx::float16),
          .bias = mx::random::normal({out})};
      auto x = mx::random::normal({m, in});
      PackedLinear packed(type, w);
      auto y = mx::contiguous(mx::random::normal({m, out}));
      mx::eval(x, y);
      // In f64: MLX's own f32 product is off by as much as the kernel's.
      LinearWeight plain{
          .weight = mx::astype(w.weight, mx::float64), .bias = w.bias};
      auto wide = mx::astype(x, mx::float64);
      auto [want, sum] = [&] {
        ScopedMlxOps composition;
        auto want = linear(wide, plain, Activation::gelu);
        auto sum = mx::contiguous(y + linear(wide, plain));
        mx::eval(want, sum);
        return std::pair{want, sum};
      }();
      for (const auto& name : simd_targets()) {
        SCOPED_TRACE(name);
        ScopedSimdTarget target(name);
        auto got = y + mx::zeros_like(y); // memory of its own
        got.eval();
        PackedProduct p{
            .x = x.data<float>(),
            .x_stride = in,
            .m = m,
            .y = got.data<float>(),
            .y_stride = out,
            .add = true};
        packed_linear(packed, p);
        EXPECT_LT(relative_error(got, sum), tolerance(type, in));
        p.add = false;
        p.activation = Activation::gelu;
        packed_linear(packed, p);
        EXPECT_LT(relative_error(got, want), tolerance(type, in));
      }
    }
  }
}

TEST(Packed, AttentionEqualsItsDefinition) {
  if (!packed_available()) {
    return;
  }
  for (auto type : {PackedType::f32, PackedType::f16, PackedType::bf16}) {
    for (auto [queries, length] :
         {std::pair{1, 1},
          {1, 1500},
          {5, 63},
          {24, 129},
          {7, 1500},
          {33, 1500}}) {
      constexpr int heads = 2;
      auto kv = mx::contiguous(mx::random::normal({length, 2 * heads * 64}));
      auto q = mx::contiguous(mx::random::normal({queries, heads * 64}));
      auto out = mx::contiguous(mx::zeros({queries, heads * 64}));
      mx::eval(kv, q, out);
      PackedMemory memory{type, length};
      std::vector<uint32_t> keys(
          static_cast<size_t>(heads * memory.key_words()));
      std::vector<uint32_t> values(
          static_cast<size_t>(heads * memory.value_words()));
      pack_memory(
          memory,
          heads,
          kv.data<float>(),
          kv.data<float>() + heads * 64,
          2 * heads * 64,
          keys.data(),
          values.data());
      ScopedMlxOps composition;
      auto split = [&](const mx::array& x) {
        return mx::transpose(
            mx::reshape(mx::astype(x, mx::float64), {1, x.shape(0), heads, 64}),
            {0, 2, 1, 3});
      };
      auto parts = mx::split(kv, 2, -1);
      auto want = mx::reshape(
          mx::transpose(
              attention(split(q), split(parts[0]), split(parts[1]), 0.125f),
              {0, 2, 1, 3}),
          {queries, heads * 64});
      float tolerance = type == PackedType::f32 ? 3e-6f
          : type == PackedType::f16             ? 2e-3f
                                                : 2e-2f;
      want.eval();
      for (const auto& name : simd_targets()) {
        ScopedSimdTarget target(name);
        for (int h = 0; h < heads; ++h) {
          packed_attend(
              memory,
              keys.data() + h * memory.key_words(),
              values.data() + h * memory.value_words(),
              q.data<float>() + h * 64,
              heads * 64,
              queries,
              0.125f,
              out.data<float>() + h * 64,
              heads * 64);
        }
        EXPECT_LT(relative_error(out, want), tolerance)
            << name << ", " << static_cast<int>(type) << ": " << queries
            << " x " << length;
      }
    }
  }
}

} // namespace
} // namespace mlx_audio::kernels
