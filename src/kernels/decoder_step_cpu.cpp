#include "kernels/decoder_step_cpu.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "kernels/flash_attention.h"
#include "kernels/gemv.h"
#include "kernels/parallel.h"
#include "kernels/scratch.h"
#include "kernels/simd.h"
#include "kernels/team.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/decoder_step_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mlx_audio::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using F = hn::ScalableTag<float>;
using V = hn::Vec<F>;

namespace {

float dot(const float* a, const float* b, int count) {
  const F d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  V s0 = hn::Zero(d);
  V s1 = hn::Zero(d);
  int i = 0;
  for (; i + 2 * lanes <= count; i += 2 * lanes) {
    s0 = hn::MulAdd(hn::LoadU(d, a + i), hn::LoadU(d, b + i), s0);
    s1 = hn::MulAdd(
        hn::LoadU(d, a + i + lanes), hn::LoadU(d, b + i + lanes), s1);
  }
  float sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(s0, s1)));
  for (; i < count; ++i) {
    sum += a[i] * b[i];
  }
  return sum;
}

// y += a x
void axpy(float a, const float* x, float* y, int count) {
  const F d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  const V va = hn::Set(d, a);
  int i = 0;
  for (; i + lanes <= count; i += lanes) {
    hn::StoreU(
        hn::MulAdd(va, hn::LoadU(d, x + i), hn::LoadU(d, y + i)), d, y + i);
  }
  for (; i < count; ++i) {
    y[i] += a * x[i];
  }
}

} // namespace

void rms_norm_row(
    const float* x,
    const float* weight,
    float eps,
    int count,
    float* y) {
  float scale =
      1 / std::sqrt(dot(x, x, count) / static_cast<float>(count) + eps);
  const F d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  const V s = hn::Set(d, scale);
  int i = 0;
  for (; i + lanes <= count; i += lanes) {
    V v = hn::Mul(hn::LoadU(d, x + i), s);
    hn::StoreU(hn::Mul(v, hn::LoadU(d, weight + i)), d, y + i);
  }
  for (; i < count; ++i) {
    y[i] = x[i] * scale * weight[i];
  }
}

// x += y
void add_row(float* x, const float* y, int count) {
  axpy(1.0f, y, x, count);
}

// Turns pairs (i, i + half) by the angles' cosines and sines (Su et al. 2021).
void rotate_row(float* x, const float* cosine, const float* sine, int half) {
  const F d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  int i = 0;
  for (; i + lanes <= half; i += lanes) {
    V a = hn::LoadU(d, x + i);
    V b = hn::LoadU(d, x + i + half);
    V c = hn::LoadU(d, cosine + i);
    V s = hn::LoadU(d, sine + i);
    hn::StoreU(hn::NegMulAdd(b, s, hn::Mul(a, c)), d, x + i);
    hn::StoreU(hn::MulAdd(a, s, hn::Mul(b, c)), d, x + i + half);
  }
  for (; i < half; ++i) {
    float a = x[i];
    float b = x[i + half];
    x[i] = a * cosine[i] - b * sine[i];
    x[i + half] = b * cosine[i] + a * sine[i];
  }
}

// The same for pairs (2 i, 2 i + 1).
void rotate_pairs_row(
    float* x,
    const float* cosine,
    const float* sine,
    int half) {
  const F d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  int i = 0;
  for (; i + lanes <= half; i += lanes) {
    V a;
    V b;
    hn::LoadInterleaved2(d, x + 2L * i, a, b);
    V c = hn::LoadU(d, cosine + i);
    V s = hn::LoadU(d, sine + i);
    hn::StoreInterleaved2(
        hn::NegMulAdd(b, s, hn::Mul(a, c)),
        hn::MulAdd(a, s, hn::Mul(b, c)),
        d,
        x + 2L * i);
  }
  for (; i < half; ++i) {
    float a = x[2 * i];
    float b = x[2 * i + 1];
    x[2 * i] = a * cosine[i] - b * sine[i];
    x[2 * i + 1] = b * cosine[i] + a * sine[i];
  }
}

// gate = silu(gate) * up
void gate_row(float* gate, const float* up, int count) {
  const F d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  int i = 0;
  for (; i + lanes <= count; i += lanes) {
    V g = math::silu(d, hn::LoadU(d, gate + i));
    hn::StoreU(hn::Mul(g, hn::LoadU(d, up + i)), d, gate + i);
  }
  for (; i < count; ++i) {
    gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
  }
}

namespace {

// scores [count] -> e to them, less the largest; the sum of those.
float exponentials(float* scores, int count) {
  float best = -std::numeric_limits<float>::infinity();
  for (int t = 0; t < count; ++t) {
    best = std::max(best, scores[t]);
  }
  const F d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  V sums = hn::Zero(d);
  const V vbest = hn::Set(d, best);
  int t = 0;
  for (; t + lanes <= count; t += lanes) {
    V e = math::exp(d, hn::Sub(hn::LoadU(d, scores + t), vbest));
    hn::StoreU(e, d, scores + t);
    sums = hn::Add(sums, e);
  }
  float sum = hn::GetLane(hn::SumOfLanes(d, sums));
  for (; t < count; ++t) {
    scores[t] = std::exp(scores[t] - best);
    sum += scores[t];
  }
  return sum;
}

constexpr int kKeyBlock = 64; // positions that stay in L1 for all queries

} // namespace

// Queries [queries, dim] that share keys and values over `count` positions,
// which are read once for all of them; scores [queries, count] is scratch.
void attend_rows(
    const float* q,
    const float* keys,
    const float* values,
    int queries,
    int count,
    int dim,
    float scale,
    float* scores,
    float* y) {
  for (int from = 0; from < count; from += kKeyBlock) {
    int to = std::min(count, from + kKeyBlock);
    for (int i = 0; i < queries; ++i) {
      float* row = scores + static_cast<size_t>(i) * count;
      for (int t = from; t < to; ++t) {
        row[t] = dot(q + static_cast<size_t>(i) * dim,
                     keys + static_cast<size_t>(t) * dim,
                     dim) *
            scale;
      }
    }
  }
  for (int i = 0; i < queries; ++i) {
    float* row = scores + static_cast<size_t>(i) * count;
    float sum = exponentials(row, count);
    for (int t = 0; t < count; ++t) {
      row[t] /= sum;
    }
  }
  std::fill(y, y + static_cast<size_t>(queries) * dim, 0.0f);
  for (int from = 0; from < count; from += kKeyBlock) {
    int to = std::min(count, from + kKeyBlock);
    for (int i = 0; i < queries; ++i) {
      const float* row = scores + static_cast<size_t>(i) * count;
      for (int t = from; t < to; ++t) {
        axpy(
            row[t],
            values + static_cast<size_t>(t) * dim,
            y + static_cast<size_t>(i) * dim,
            dim);
      }
    }
  }
}

} // namespace mlx_audio::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mlx_audio::kernels {

HWY_EXPORT(rms_norm_row);
HWY_EXPORT(add_row);
HWY_EXPORT(rotate_row);
HWY_EXPORT(rotate_pairs_row);
HWY_EXPORT(gate_row);
HWY_EXPORT(attend_rows);

namespace {

// Rows that a step is taken together for, by one region of threads; more make
// each product worth sharing out by itself.
constexpr int kFewRows = 16;

constexpr int64_t kPiece = 32; // rows of W at once
constexpr int kGatePiece = 512; // of the MLP's width
constexpr int64_t kFarKeys = 1 << 16; // floats of keys that L2 holds well

struct Target {
  const WeightMatrix& w;
  float* y; // [rows, w.rows]
};

// How a step's loops run: each() calls function(i) for i in [0, count), and
// product() multiplies x with several matrices. Both return when all is done.

// For few rows: all threads go through the step together.
class Together {
 public:
  Together(Team& team, int thread, int rows)
      : team_(team), thread_(thread), rows_(rows) {}

  template <class Function>
  void each(int64_t count, double /* work */, const Function& function) {
    team_.loop(thread_, count, function);
  }

  void product(const float* x, std::initializer_list<Target> targets) {
    static thread_local Scratch scratch;
    // Every thread prepares x for itself: that costs less than a wait.
    const WeightMatrix* prepared_for = nullptr;
    float* prepared = nullptr;
    const Target* first = targets.begin();
    while (first != targets.end()) {
      if (prepared_for == nullptr || !gemv_shares(*prepared_for, first->w)) {
        prepared_for = &first->w;
        prepared = scratch.floats(gemv_floats(first->w, rows_));
        gemv_prepare(first->w, FloatType::f32, x, rows_, prepared);
      }
      const Target* end = first;
      int64_t pieces = 0;
      for (; end != targets.end() && gemv_shares(*prepared_for, end->w);
           ++end) {
        pieces += pieces_of(end->w);
      }
      team_.loop(thread_, pieces, [&](int64_t piece) {
        const Target* t = first;
        for (; piece >= pieces_of(t->w); ++t) {
          piece -= pieces_of(t->w);
        }
        int64_t row = piece * kPiece;
        gemv_rows(
            t->w,
            prepared,
            rows_,
            row,
            std::min(kPiece, t->w.rows - row),
            t->y + row,
            t->w.rows);
      });
      first = end;
    }
  }

 private:
  static int64_t pieces_of(const WeightMatrix& w) {
    return (w.rows + kPiece - 1) / kPiece;
  }

  Team& team_;
  int thread_;
  int rows_;
};

// For many rows: one thread goes through the step and shares out each loop.
class ByLoops {
 public:
  explicit ByLoops(int rows) : rows_(rows) {}

  /// @param work of one call, in multiply-adds: little is not worth waking a
  ///   thread.
  template <class Function>
  void each(int64_t count, double work, const Function& function) {
    parallel_for(count, static_cast<int64_t>(65536 / work) + 1, function);
  }

  void product(const float* x, std::initializer_list<Target> targets) const {
    for (const Target& target : targets) {
      GemmArgs args;
      args.x = x;
      args.m = rows_;
      args.w = target.w;
      args.coarse_x = target.w.type != FloatType::f32;
      args.y = target.y;
      linear_product(args);
    }
  }

 private:
  int rows_;
};

struct Step {
  const DecoderStepShape& s;
  const std::vector<DecoderStepLayer>& layers;
  const float* final_norm;
  const std::vector<DecoderStepCache>& caches;
  int steps;
  int rows; // caches x steps
  float* y; // [rows, hidden]

  // Of all rows.
  float* h = nullptr;
  float* normed = nullptr;
  float* branch = nullptr;
  float* q = nullptr;
  float* mixed = nullptr;
  float* k = nullptr;
  float* v = nullptr;
  float* gate = nullptr;
  float* up = nullptr;
  float* cosine = nullptr; // [rows, head_dim / 2]
  float* sine = nullptr;

  int position(int row) const {
    return caches[row / steps].length + row % steps;
  }

  int64_t floats() const {
    int64_t width = 3L * s.hidden + 2L * s.heads * s.head_dim +
        2L * s.kv_heads * s.head_dim + 2L * s.intermediate + s.head_dim;
    return rows * width;
  }

  void divide(float* memory) {
    int64_t m = rows;
    auto take = [&](int64_t width) {
      float* at = memory;
      memory += m * width;
      return at;
    };
    h = take(s.hidden);
    normed = take(s.hidden);
    branch = take(s.hidden);
    q = take(s.heads * s.head_dim);
    mixed = take(s.heads * s.head_dim);
    k = take(s.kv_heads * s.head_dim);
    v = take(s.kv_heads * s.head_dim);
    gate = take(s.intermediate);
    up = take(s.intermediate);
    cosine = take(s.head_dim / 2);
    sine = take(s.head_dim / 2);
  }

  void set_angles() const {
    int half = s.head_dim / 2;
    for (int i = 0; i < half; ++i) {
      for (int r = 0; r < rows; ++r) {
        double angle = position(r) * s.rope_frequencies[i];
        size_t at = static_cast<size_t>(r) * half + i;
        cosine[at] = static_cast<float>(std::cos(angle));
        sine[at] = static_cast<float>(std::sin(angle));
      }
    }
  }

  void norm(const float* x, const float* weight, int dim, float* to) const {
    HWY_DYNAMIC_DISPATCH(rms_norm_row)(x, weight, s.norm_eps, dim, to);
  }

  void add(float* x, const float* bias, int64_t head) const {
    if (bias != nullptr) {
      HWY_DYNAMIC_DISPATCH(add_row)
      (x, bias + head * s.head_dim, s.head_dim);
    }
  }

  // Norms and turns a head of q or k.
  void turn(float* x, const float* weight, int row) const {
    if (weight != nullptr) {
      norm(x, weight, s.head_dim, x);
    }
    int half = s.head_dim / 2;
    size_t at = static_cast<size_t>(row) * half;
    if (s.rope_interleaved) {
      HWY_DYNAMIC_DISPATCH(rotate_pairs_row)(x, cosine + at, sine + at, half);
    } else {
      HWY_DYNAMIC_DISPATCH(rotate_row)(x, cosine + at, sine + at, half);
    }
  }

  // Puts a row's k and v of one head into the caches and turns its queries.
  void place(int index, int64_t item) const {
    const DecoderStepLayer& layer = layers[index];
    int r = static_cast<int>(item / s.kv_heads);
    int64_t head = item % s.kv_heads;
    int group = s.heads / s.kv_heads;
    for (int64_t i = 0; i < group; ++i) {
      float* query = q + (item * group + i) * s.head_dim;
      add(query, layer.q_bias, head * group + i);
      turn(query, layer.q_norm, r);
    }
    add(k + item * s.head_dim, layer.k_bias, head);
    add(v + item * s.head_dim, layer.v_bias, head);
    turn(k + item * s.head_dim, layer.k_norm, r);
    const DecoderStepCache& cache = caches[r / steps];
    int64_t to = (head * cache.capacity + position(r)) * s.head_dim;
    std::copy_n(k + item * s.head_dim, s.head_dim, cache.keys[index] + to);
    std::copy_n(v + item * s.head_dim, s.head_dim, cache.values[index] + to);
  }

  // Query heads at once: those of a kv head together where its keys are more
  // than a cache holds and there are kv heads for all threads.
  int heads_at_once() const {
    int group = s.heads / s.kv_heads;
    int64_t longest = position(rows - 1) + 1;
    bool many = int64_t{rows} * s.kv_heads >= thread_count();
    return many && longest * s.head_dim > kFarKeys ? group : 1;
  }

  // Item `item` of all rows' heads, `count` of them at once.
  void attend(int index, int64_t item, int count) const {
    static thread_local Scratch scratch;
    int group = s.heads / s.kv_heads;
    int64_t first = item * count;
    int r = static_cast<int>(first / s.heads);
    int head = static_cast<int>(first % s.heads);
    const DecoderStepCache& cache = caches[r / steps];
    size_t base =
        static_cast<size_t>(head / group) * cache.capacity * s.head_dim;
    int seen = position(r) + 1;
    HWY_DYNAMIC_DISPATCH(attend_rows)
    (q + first * s.head_dim,
     cache.keys[index] + base,
     cache.values[index] + base,
     count,
     seen,
     s.head_dim,
     1 / std::sqrt(static_cast<float>(s.head_dim)),
     scratch.floats(int64_t{count} * seen),
     mixed + first * s.head_dim);
  }

  void mix(Together& loops, int index) const {
    int count = heads_at_once();
    double work = static_cast<double>(position(rows - 1) + 1) * s.head_dim;
    loops.each(
        int64_t{rows} * s.heads / count, work * count, [&](int64_t item) {
          attend(index, item, count);
        });
  }

  // Many queries: tiles of scores.
  void mix(ByLoops& /* loops */, int index) const {
    int64_t dim = s.head_dim;
    int64_t width = s.heads * dim;
    for (size_t i = 0; i < caches.size(); ++i) {
      const DecoderStepCache& cache = caches[i];
      int64_t rows_before = static_cast<int64_t>(i) * steps * width;
      std::array<int64_t, 4> past{0, cache.capacity * dim, dim, 1};
      AttentionArgs args;
      args.q = {q + rows_before, FloatType::f32, {0, dim, width, 1}};
      args.k = {cache.keys[index], FloatType::f32, past};
      args.v = {cache.values[index], FloatType::f32, past};
      args.y = mixed + rows_before;
      args.batch = 1;
      args.heads = s.heads;
      args.kv_heads = s.kv_heads;
      args.queries = steps;
      args.keys = cache.length + steps;
      args.dim = dim;
      args.value_dim = dim;
      args.scale = 1 / std::sqrt(static_cast<float>(s.head_dim));
      args.causal = true;
      flash_attention(args);
    }
  }

  // normed = norm(h + branch), of every row.
  template <class Loops>
  void join(Loops& loops, bool first, const float* weight, float* to) const {
    loops.each(rows, 4.0 * s.hidden, [&](int64_t r) {
      int64_t at = r * s.hidden;
      if (!first) {
        HWY_DYNAMIC_DISPATCH(add_row)(h + at, branch + at, s.hidden);
      }
      norm(h + at, weight, s.hidden, to + at);
    });
  }

  template <class Loops>
  void run(Loops loops) const {
    int64_t gate_pieces = (s.intermediate + kGatePiece - 1) / kGatePiece;
    for (size_t i = 0; i < layers.size(); ++i) {
      const DecoderStepLayer& layer = layers[i];
      int index = static_cast<int>(i);
      join(loops, i == 0, layer.input_norm, normed);
      loops.product(normed, {{layer.q, q}, {layer.k, k}, {layer.v, v}});
      loops.each(
          static_cast<int64_t>(rows) * s.kv_heads,
          16.0 * s.head_dim,
          [&](int64_t item) { place(index, item); });
      mix(loops, index);
      loops.product(mixed, {{layer.o, branch}});
      join(loops, false, layer.post_norm, normed);
      loops.product(normed, {{layer.gate, gate}, {layer.up, up}});
      loops.each(rows * gate_pieces, 20.0 * kGatePiece, [&](int64_t item) {
        int64_t from = item % gate_pieces * kGatePiece;
        int64_t at = item / gate_pieces * s.intermediate + from;
        HWY_DYNAMIC_DISPATCH(gate_row)
        (gate + at,
         up + at,
         static_cast<int>(
             std::min<int64_t>(kGatePiece, s.intermediate - from)));
      });
      loops.product(gate, {{layer.down, branch}});
    }
    join(loops, layers.empty(), final_norm, y);
  }
};

} // namespace

void decoder_step_cpu(
    const DecoderStepShape& s,
    const std::vector<DecoderStepLayer>& layers,
    const float* final_norm,
    const std::vector<DecoderStepCache>& caches,
    int steps,
    const float* x,
    float* y) {
  int rows = static_cast<int>(caches.size()) * steps;
  Step step{s, layers, final_norm, caches, steps, rows, y};
  static thread_local Scratch scratch;
  step.divide(scratch.floats(step.floats()));
  std::copy_n(x, static_cast<int64_t>(rows) * s.hidden, step.h);
  step.set_angles();
  if (rows > kFewRows) {
    step.run(ByLoops(rows));
    return;
  }
  run_team(
      [&](Team& team, int thread) { step.run(Together(team, thread, rows)); });
}

} // namespace mlx_audio::kernels
#endif
