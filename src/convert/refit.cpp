#include "convert/refit.h"

#include <algorithm>
#include <cmath>

#include "kernels/parallel.h"

namespace mlx_audio::convert {

namespace mx = mlx::core;

namespace {

constexpr float ranges[] = {1.0f, 0.9f, 0.8f, 0.7f}; // of a group's
constexpr int rounds = 3;
constexpr int most = 128; // columns of a group
constexpr float damping = 0.05f; // of the mean variance of inputs

float dot(const float* a, const float* b, int64_t count) {
  constexpr int lanes = 16;
  float sums[lanes] = {};
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    for (int l = 0; l < lanes; ++l) {
      sums[l] += a[i + l] * b[i + l];
    }
  }
  float sum = 0;
  for (; i < count; ++i) {
    sum += a[i] * b[i];
  }
  for (float part : sums) {
    sum += part;
  }
  return sum;
}

// As it will be stored.
float rounded(float x, mx::Dtype type) {
  if (type == mx::float16) {
    return static_cast<float>(mx::float16_t(x));
  }
  return type == mx::bfloat16 ? static_cast<float>(mx::bfloat16_t(x)) : x;
}

struct Line {
  float scale;
  float bias;

  float code(float w, float largest) const {
    if (scale == 0) {
      return 0;
    }
    float code = std::min(std::max(0.0f, (w - bias) / scale), largest);
    constexpr float whole = 3 << 22; // a sum with it has no fraction
    return code + whole - whole; // std::round has no vectors
  }
};

// One group's weights, and how much each column counts.
struct Group {
  const float* w;
  const float* importance;
  int size;
  float largest; // code
  mx::Dtype type;
};

float error_of(const Group& g, const Line& line, float* codes) {
  float weighted[most];
  float errors[most];
  for (int i = 0; i < g.size; ++i) {
    codes[i] = line.code(g.w[i], g.largest);
    errors[i] = g.w[i] - (codes[i] * line.scale + line.bias);
    weighted[i] = g.importance[i] * errors[i];
  }
  return dot(weighted, errors, g.size);
}

// The line through (code, weight) that makes the error least; `line` itself if
// the codes are all one.
Line line_through(const Group& g, const float* codes, const Line& line) {
  float total = 0;
  float code = 0;
  float mean = 0;
  for (int i = 0; i < g.size; ++i) {
    total += g.importance[i];
    code += g.importance[i] * codes[i];
    mean += g.importance[i] * g.w[i];
  }
  code /= total;
  mean /= total;
  float spread = 0;
  float slope = 0;
  for (int i = 0; i < g.size; ++i) {
    float offset = codes[i] - code;
    spread += g.importance[i] * offset * offset;
    slope += g.importance[i] * offset * (g.w[i] - mean);
  }
  if (spread < 1e-3f * total / static_cast<float>(g.size)) {
    return line;
  }
  slope /= spread;
  return {rounded(slope, g.type), rounded(mean - slope * code, g.type)};
}

Line fit(const Group& g, const Line& first) {
  float codes[most] = {};
  Line best = first;
  float least = error_of(g, first, codes);
  auto [low, high] = std::minmax_element(g.w, g.w + g.size);
  float middle = (*low + *high) / 2;
  // MLX's line first: its sign may be another.
  for (int start = -1; start < static_cast<int>(std::size(ranges)); ++start) {
    Line line = first;
    if (start >= 0) {
      float width = (*high - *low) * ranges[start];
      line = {
          rounded(width / g.largest, g.type),
          rounded(middle - width / 2, g.type)};
    }
    error_of(g, line, codes);
    for (int i = 0; i < rounds; ++i) {
      line = line_through(g, codes, line);
      float error = error_of(g, line, codes);
      if (error < least) {
        least = error;
        best = line;
      }
    }
  }
  return best;
}

// Codes as MLX packs them: one stream of bits, lowest first.
class BitWriter {
 public:
  BitWriter(uint32_t* to, int bits) : to_(to), bits_(bits) {}

  void put(uint32_t code) {
    pending_ |= static_cast<uint64_t>(code) << filled_;
    filled_ += bits_;
    if (filled_ >= 32) {
      *to_++ = static_cast<uint32_t>(pending_);
      pending_ >>= 32;
      filled_ -= 32;
    }
  }

 private:
  uint32_t* to_;
  int bits_;
  uint64_t pending_ = 0;
  int filled_ = 0;
};

const float* floats(mx::array& a) {
  a = mx::contiguous(mx::astype(a, mx::float32));
  a.eval();
  return a.data<float>();
}

} // namespace

std::vector<float> input_factor(const std::vector<float>& moments, int64_t n) {
  const float* from = moments.data();
  double trace = 0;
  for (int64_t i = 0; i < n; ++i) {
    trace += from[i * n + i];
  }
  auto damp = std::max(
      damping * static_cast<float>(trace / static_cast<double>(n)), 1e-12f);
  // Cholesky's factor of H with its rows and columns turned around, row by row.
  std::vector<float> factor(static_cast<size_t>(n * n));
  for (int64_t j = 0; j < n; ++j) {
    float* row = factor.data() + j * n;
    const float* h_row = from + (n - 1 - j) * n;
    float pivot = h_row[n - 1 - j] + damp - dot(row, row, j);
    row[j] = std::sqrt(std::max(pivot, damp * 1e-3f));
    // Less work than this is done before another thread has woken.
    constexpr int64_t least = 1 << 18; // products
    kernels::parallel_for(n - 1 - j, least / (j + 1), [&](int64_t below) {
      int64_t i = j + 1 + below;
      float* other = factor.data() + i * n;
      other[j] = (h_row[n - 1 - i] - dot(other, row, j)) / row[j];
    });
  }
  // R = J L J: its transpose is L^T turned around.
  std::vector<float> result(static_cast<size_t>(n * n));
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j <= i; ++j) {
      result[static_cast<size_t>((n - 1 - j) * n + n - 1 - i)] =
          factor[static_cast<size_t>(i * n + j)];
    }
  }
  return result;
}

void refit(
    const mx::array& w,
    std::vector<mx::array>& parts,
    const Packing& packing,
    const std::vector<float>* factor /* = nullptr */) {
  int64_t rows = w.shape(0);
  int64_t columns = w.shape(1);
  int size = packing.group_size;
  int64_t groups = columns / size;
  auto type = parts[1].dtype();
  auto exact = w;
  const float* from = floats(exact);
  auto old_scales = parts[1];
  auto old_biases = parts[2];
  const float* first_scales = floats(old_scales);
  const float* first_biases = floats(old_biases);
  std::vector<float> importance(static_cast<size_t>(columns), 1.0f);
  if (factor != nullptr) {
    for (int64_t i = 0; i < columns; ++i) {
      float r = (*factor)[static_cast<size_t>(i * columns + i)];
      importance[static_cast<size_t>(i)] = r * r;
    }
  }
  std::vector<uint32_t> packed(
      static_cast<size_t>(rows * columns * packing.bits / 32));
  std::vector<float> scales(static_cast<size_t>(rows * groups));
  std::vector<float> biases(scales.size());
  kernels::parallel_for(rows, 8, [&](int64_t row) {
    std::vector<float> errors(static_cast<size_t>(columns));
    float adjusted[most] = {};
    const float* values = from + row * columns;
    BitWriter out(
        packed.data() + row * columns * packing.bits / 32, packing.bits);
    for (int64_t group = 0; group < groups; ++group) {
      int64_t begin = group * size;
      // What column i should be, given the errors of those before `end`.
      auto wanted = [&](int64_t i, int64_t end) {
        const float* r = factor->data() + i * columns;
        return values[i] + dot(errors.data(), r, end) / r[i];
      };
      for (int i = 0; i < size; ++i) {
        adjusted[i] =
            factor != nullptr ? wanted(begin + i, begin) : values[begin + i];
      }
      auto at = static_cast<size_t>(row * groups + group);
      Group g{
          adjusted,
          importance.data() + begin,
          size,
          static_cast<float>((1 << packing.bits) - 1),
          type};
      Line line = fit(g, {first_scales[at], first_biases[at]});
      for (int64_t i = begin; i < begin + size; ++i) {
        float target = factor != nullptr ? wanted(i, i) : adjusted[i - begin];
        float code = line.code(target, g.largest);
        errors[static_cast<size_t>(i)] =
            values[i] - (code * line.scale + line.bias);
        out.put(static_cast<uint32_t>(code));
      }
      scales[at] = line.scale;
      biases[at] = line.bias;
    }
  });
  auto shape = parts[1].shape();
  parts[0] = mx::array(packed.data(), parts[0].shape(), mx::uint32);
  parts[1] = mx::astype(mx::array(scales.data(), shape, mx::float32), type);
  parts[2] = mx::astype(mx::array(biases.data(), shape, mx::float32), type);
}

} // namespace mlx_audio::convert
