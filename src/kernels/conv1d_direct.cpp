#include "kernels/conv1d_direct.h"

#include <omp.h>

#include <algorithm>
#include <vector>

#include "kernels/amx.h"
#include "kernels/scratch.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/conv1d_direct.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/bf16_pairs-inl.h"
#include "kernels/channel_map-inl.h"
#include "kernels/panels-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mlx_audio::kernels::HWY_NAMESPACE {

// Rows of x as products read them: f32, or bf16 pairs of channels.
class Rows {
 public:
  Rows(const DirectConv1dWeight& w, const ConvInput& input, bool as_pairs)
      : w_(w),
        input_(input),
        as_pairs_(as_pairs),
        width_(as_pairs ? (w.in + 1) / 2 : w.in) {}

  /// Floats (or pairs) that output rows [t, t + rows) take.
  size_t needed(int rows) const {
    return w_.joined ? static_cast<size_t>(rows) * w_.panels.depth()
                     : static_cast<size_t>(span(rows)) * width_;
  }
  int span(int rows) const {
    return (rows - 1) * input_.stride + (w_.kernel - 1) * input_.dilation + 1;
  }
  size_t width() const {
    return width_;
  }
  /// Whether x can be read where it lies.
  bool plain(int t, int rows) const {
    const int first = t * input_.stride - input_.pad_left;
    return !as_pairs_ && !w_.joined && input_.map == nullptr && first >= 0 &&
        first + span(rows) <= input_.time;
  }

  /// Input rows of output rows [t, t + rows), one after the other; or with
  /// joined taps a row of all taps for each output. `line` has room for one row
  /// of taps.
  void load(int t, int rows, float* to, std::vector<float>& line) const {
    const int first = t * input_.stride - input_.pad_left;
    if (!w_.joined) {
      line.resize(w_.in + 1);
      for (int i = 0; i < span(rows); ++i) {
        if (!as_pairs_) {
          row(first + i, to + i * width_);
          continue;
        }
        row(first + i, line.data());
        line[w_.in] = 0;
        to_pairs(line.data(), to + i * width_);
      }
      return;
    }
    const size_t depth = w_.panels.depth();
    const size_t taps = static_cast<size_t>(w_.kernel) * w_.in;
    line.resize(taps + 1);
    for (int r = 0; r < rows; ++r) {
      float* row_to = as_pairs_ ? line.data() : to + r * depth;
      for (int j = 0; j < w_.kernel; ++j) {
        row(first + r * input_.stride + j * input_.dilation,
            row_to + static_cast<size_t>(j) * w_.in);
      }
      if (as_pairs_) {
        line[taps] = 0;
        to_pairs(line.data(), to + r * depth, depth);
      }
    }
  }

 private:
  void row(int at, float* to) const {
    const float* from = input_.row(at, w_.in);
    if (from == nullptr) {
      std::fill_n(to, w_.in, 0.0f);
    } else if (input_.map != nullptr) {
      map_row(from, to, w_.in, *input_.map);
    } else {
      std::copy_n(from, w_.in, to);
    }
  }

  void to_pairs(const float* from, float* to) const {
    to_pairs(from, to, width_);
  }
  static void to_pairs(const float* from, float* to, size_t count) {
    const pairs::F d;
    auto* out = reinterpret_cast<uint32_t*>(to);
    size_t p = 0;
#if HWY_TARGET != HWY_SCALAR
    const size_t lanes = hn::Lanes(d);
    for (; p + lanes <= count; p += lanes) {
      hn::Vec<pairs::F> low;
      hn::Vec<pairs::F> high;
      hn::LoadInterleaved2(d, from + 2 * p, low, high);
      hn::StoreU(pairs::make(low, high), pairs::U(), out + p);
    }
#endif
    for (; p < count; ++p) {
      out[p] = hn::GetLane(
          pairs::make(hn::Set(d, from[2 * p]), hn::Set(d, from[2 * p + 1])));
    }
  }

  const DirectConv1dWeight& w_;
  const ConvInput& input_;
  bool as_pairs_;
  size_t width_;
};

// c (+)= rows times the panels from `panel` on, `count` of them.
void multiply(
    const DirectConv1dWeight& w,
    const float* a,
    size_t width,
    size_t stride,
    size_t dilation,
    int panel,
    int count,
    float* c,
    size_t c_stride,
    int rows) {
  const int taps = w.joined ? 1 : w.kernel;
  const int depth = w.panels.depth();
  const size_t panel_size = static_cast<size_t>(depth) * w.panels.width();
  const size_t a_stride = w.joined ? depth : stride * width;
  const size_t a_tap = dilation * width;
  if (w.panels.type() == PanelType::bf16_pairs) {
    const auto* from = reinterpret_cast<const uint32_t*>(a);
    for (int p = 0; p < count; ++p) {
      pairs::add_product(
          from,
          a_stride,
          a_tap,
          w.panels.pairs() + (panel + p) * panel_size,
          w.panels.matrix_stride(),
          taps,
          depth,
          c + static_cast<size_t>(p) * w.panels.width(),
          c_stride,
          rows);
    }
    return;
  }
  auto with = [&](const auto* panels) HWY_ATTR {
    for (int j = 0; j < taps; ++j) {
      panels::product<true>(
          a + j * a_tap,
          a_stride,
          panels + j * w.panels.matrix_stride() + panel * panel_size,
          depth,
          count * w.panels.width(),
          c,
          c_stride,
          rows);
    }
  };
  if (w.panels.type() == PanelType::f16) {
    with(w.panels.halves());
  } else {
    with(w.panels.floats());
  }
}

// Residual (or zeros) plus bias in columns [from, to).
void fill(
    const ConvOutput& o,
    size_t out,
    int t,
    size_t from,
    size_t to,
    float* row) {
  if (o.residual == nullptr) {
    std::copy(o.bias + from, o.bias + to, row);
    return;
  }
  const float* r = o.residual + t * out + from;
  for (size_t c = 0; c < to - from; ++c) {
    row[c] = r[c] + o.bias[from + c];
  }
}

// --- AMX ---

// Rows of x as bf16 pairs in steps of 16: [steps][rows][16], so that rows of a
// tile are neighbours. Channels beyond the last are zeros.
class TileRows {
 public:
  TileRows(const DirectConv1dWeight& w, const ConvInput& input)
      : w_(w),
        input_(input),
        steps_((w.panels.depth() + amx::kStep - 1) / amx::kStep) {}

  /// Input rows of `rows` output rows; with joined taps, a row for each.
  int64_t span(int rows) const {
    return w_.joined ? rows
                     : static_cast<int64_t>(rows - 1) * input_.stride +
            static_cast<int64_t>(w_.kernel - 1) * input_.dilation + 1;
  }
  /// Words that output rows [t, t + rows) take.
  int64_t needed(int rows) const {
    return steps_ * span(rows) * amx::kStep;
  }

  void load(int t, int rows, uint32_t* to) const {
    static thread_local Scratch scratch;
    const int64_t step = span(rows) * amx::kStep;
    const int first = t * input_.stride - input_.pad_left;
    const auto in = static_cast<size_t>(w_.in);
    if (!w_.joined) {
      for (int64_t i = 0; i < span(rows); ++i) {
        put(input_.row(first + i, in),
            in,
            input_.map,
            step,
            to + i * amx::kStep);
      }
      return;
    }
    const size_t taps = w_.kernel * in;
    float* line = scratch.floats(static_cast<int64_t>(taps));
    for (int r = 0; r < rows; ++r) {
      for (int j = 0; j < w_.kernel; ++j) {
        const float* from =
            input_.row(first + r * input_.stride + j * input_.dilation, in);
        if (from == nullptr) {
          std::fill_n(line + j * in, in, 0.0f);
        } else if (input_.map != nullptr) {
          map_row(from, line + j * in, in, *input_.map);
        } else {
          std::copy_n(from, in, line + j * in);
        }
      }
      put(line, taps, nullptr, step, to + r * amx::kStep);
    }
  }

 private:
  // One row of `count` channels, or zeros.
  static void put(
      const float* from,
      size_t count,
      const ChannelMap* map,
      int64_t step,
      uint32_t* to) {
    const pairs::F d;
    const size_t lanes = hn::Lanes(d);
    HWY_ALIGN float tail[2 * HWY_MAX_BYTES / sizeof(float)];
    for (size_t c = 0; c < count; c += 2 * lanes, to += step) {
      pairs::VF first = hn::Zero(d);
      pairs::VF second = hn::Zero(d);
      if (from != nullptr) {
        const float* values = from + c;
        if (c + 2 * lanes > count) {
          std::fill_n(tail, 2 * lanes, 0.0f);
          std::copy_n(values, count - c, tail);
          values = tail;
        }
        first = hn::LoadU(d, values);
        second = hn::LoadU(d, values + lanes);
        if (map != nullptr) {
          first = map_channels(d, first, c, *map);
        }
        if (map != nullptr && c + lanes < count) {
          second = map_channels(d, second, c + lanes, *map);
        }
      }
      pairs::store_neighbours(first, second, to);
    }
  }

  const DirectConv1dWeight& w_;
  const ConvInput& input_;
  int64_t steps_;
};

// y = sums + bias (+ residual) in one panel's columns.
void finish(
    const ConvOutput& o,
    const float* sums,
    int t,
    int rows,
    size_t out,
    size_t from) {
  constexpr size_t width = 32;
  const size_t columns = std::min(out - from, width);
  if (columns < width) {
    for (int r = 0; r < rows; ++r, sums += width) {
      const size_t at = (t + r) * out + from;
      for (size_t c = 0; c < columns; ++c) {
        o.y[at + c] = sums[c] + o.bias[from + c] +
            (o.residual == nullptr ? 0.0f : o.residual[at + c]);
      }
    }
    return;
  }
  const hn::CappedTag<float, 16> d;
  const size_t lanes = hn::Lanes(d);
  for (int r = 0; r < rows; ++r, sums += width) {
    const size_t at = (t + r) * out + from;
    for (size_t c = 0; c < width; c += lanes) {
      auto v = hn::Add(hn::LoadU(d, sums + c), hn::LoadU(d, o.bias + from + c));
      if (o.residual != nullptr) {
        v = hn::Add(v, hn::LoadU(d, o.residual + at + c));
      }
      hn::StoreU(v, d, o.y + at + c);
    }
  }
}

void convolve_tiles(
    const DirectConv1dWeight& w,
    const ConvInput& input,
    const ConvOutput& output) {
  const TileRows source(w, input);
  const int threads = omp_get_max_threads();
  constexpr int step = 32; // rows
  // Rows a block: so few that they stay in the second cache while the weights
  // stream by, so many that weights from beyond it come in time.
  int block = std::clamp(131072 / std::max(1, w.panels.depth()), step, 384);
  const int per_thread = (output.time + threads - 1) / threads;
  int pieces = 1;
  if (per_thread < block && static_cast<size_t>(w.in) * w.kernel > 512 &&
      w.panels.count() > 1) {
    // Weights outweigh a short sequence: each thread reads its part of them.
    pieces = std::min(threads, w.panels.count());
  } else {
    // Equal shares.
    const int shares =
        (output.time + block * threads - 1) / (block * threads) * threads;
    block = (output.time + shares - 1) / shares;
  }
  block = (block + step - 1) / step * step;
  const int blocks = (output.time + block - 1) / block;
  const int piece_panels = (w.panels.count() + pieces - 1) / pieces;
  const size_t panel_size =
      static_cast<size_t>(w.panels.depth()) * w.panels.width();
#pragma omp parallel
  {
    static thread_local Scratch words_scratch;
    static thread_local Scratch sums_scratch;
    float* sums = sums_scratch.floats(static_cast<int64_t>(block) * 32);
    int loaded = -1;
    uint32_t* a = nullptr;
    auto multiply = [&](int item) {
      const int t = item % blocks * block;
      const int rows = std::min(block, output.time - t);
      if (loaded != t) {
        loaded = t;
        a = reinterpret_cast<uint32_t*>(
            words_scratch.floats(source.needed(rows)));
        source.load(t, rows, a);
      }
      const int panel = item / blocks * piece_panels;
      const int end = std::min(panel + piece_panels, w.panels.count());
      for (int p = panel; p < end; ++p) {
        amx::add_bf16(
            {.a = a,
             .a_stride = (w.joined ? 1 : input.stride) * amx::kStep,
             .a_tap = w.joined ? 0 : input.dilation * amx::kStep,
             .a_step = source.span(rows) * amx::kStep,
             .b = w.panels.pairs() + p * panel_size,
             .b_stride = 32,
             .b_tap = static_cast<int64_t>(w.panels.matrix_stride()),
             .taps = w.joined ? 1 : w.kernel,
             .depth = w.panels.depth(),
             .rows = rows,
             .columns = 32,
             .c_stride = 32,
             .overwrite = true},
            sums);
        finish(output, sums, t, rows, w.out, static_cast<size_t>(p) * 32);
      }
    };
    if (pieces == 1) {
#pragma omp for schedule(dynamic)
      for (int item = 0; item < blocks; ++item) {
        multiply(item);
      }
    } else {
      // Pieces of one block lie apart, so that each thread keeps to its part of
      // the weights.
#pragma omp for schedule(static)
      for (int item = 0; item < blocks * pieces; ++item) {
        multiply(item);
      }
    }
  }
}

void convolve_direct(
    const DirectConv1dWeight& w,
    const ConvInput& input,
    const ConvOutput& output) {
  const size_t out = w.out;
  const bool as_pairs = w.panels.type() == PanelType::bf16_pairs;
  if (as_pairs && runs_amx()) {
    return convolve_tiles(w, input, output);
  }
  const int step = as_pairs ? 12 : 6;
  const Rows source(w, input, as_pairs);
  // Rows a block: small enough that their inputs stay in the second cache while
  // the weights stream by. Short sequences are shared among the threads by
  // columns as well.
  const int threads = omp_get_max_threads();
  const int most = as_pairs ? 192 : 96;
  int block =
      std::clamp((as_pairs ? 131072 : 65536) / std::max(1, w.in), step, most);
  block = std::max(step, block / step * step);
  const int per_thread = (output.time + threads - 1) / threads;
  int pieces = 1;
  if (per_thread < block) {
    // Weights outweigh a short sequence: each thread reads its part of them.
    if (static_cast<size_t>(w.in) * w.kernel > 512 && w.panels.count() > 1) {
      pieces = std::min(threads, w.panels.count());
    } else {
      block = (per_thread + step - 1) / step * step;
    }
  }
  const int blocks = (output.time + block - 1) / block;
  const int piece_panels = (w.panels.count() + pieces - 1) / pieces;
#pragma omp parallel
  {
    static thread_local Scratch taps_scratch;
    static thread_local Scratch wide_scratch;
    std::vector<float> line;
    int loaded = -1;
    const float* a = nullptr;
#pragma omp for schedule(static)
    for (int item = 0; item < blocks * pieces; ++item) {
      // Pieces of one block lie apart, so that each thread keeps to its part of
      // the weights.
      const int t = item % blocks * block;
      const int rows = std::min(block, output.time - t);
      const int panel = item / blocks * piece_panels;
      const int count = std::min(piece_panels, w.panels.count() - panel);
      if (count <= 0) {
        continue;
      }
      if (loaded != t) {
        loaded = t;
        if (source.plain(t, rows)) {
          a = input.x +
              static_cast<size_t>(t * input.stride - input.pad_left) * w.in;
        } else {
          float* to =
              taps_scratch.floats(static_cast<int64_t>(source.needed(rows)));
          source.load(t, rows, to, line);
          a = to;
        }
      }
      const size_t from = static_cast<size_t>(panel) * w.panels.width();
      const size_t to =
          std::min(out, from + static_cast<size_t>(count) * w.panels.width());
      const size_t padded = static_cast<size_t>(count) * w.panels.width();
      const bool whole = to - from == padded; // panels fit the rows of y
      float* c = output.y + t * out + from;
      size_t c_stride = out;
      if (!whole) {
        c = wide_scratch.floats(static_cast<int64_t>(rows * padded));
        c_stride = padded;
        std::fill_n(c, rows * padded, 0.0f);
      }
      for (int r = 0; r < rows; ++r) {
        fill(output, out, t + r, from, to, c + r * c_stride);
      }
      multiply(
          w,
          a,
          source.width(),
          input.stride,
          input.dilation,
          panel,
          count,
          c,
          c_stride,
          rows);
      for (int r = 0; !whole && r < rows; ++r) {
        std::copy_n(
            c + r * c_stride, to - from, output.y + (t + r) * out + from);
      }
    }
  }
}

} // namespace mlx_audio::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mlx_audio::kernels {

HWY_EXPORT(convolve_direct);

DirectConv1dWeight::DirectConv1dWeight(
    const PanelSource& source,
    int out_,
    int kernel_,
    int in_,
    PanelType type)
    : in(in_), out(out_), kernel(kernel_), joined(kernel_ > 1 && in_ < 64) {
  const bool as_pairs = type == PanelType::bf16_pairs;
  const int matrices = joined ? 1 : kernel;
  const int rows = joined ? kernel * in : in; // of one matrix
  panels = Panels(matrices, as_pairs ? (rows + 1) / 2 : rows, out, type);
  const size_t width = panels.width();
#pragma omp parallel
  {
    // A row of zeros more, for the last pair of an odd depth.
    std::vector<float> block((static_cast<size_t>(kernel) * in + 1) * width);
    std::vector<float> one((static_cast<size_t>(rows) + 1) * width);
#pragma omp for schedule(dynamic)
    for (int panel = 0; panel < panels.count(); ++panel) {
      source(panel * panels.width(), block.data());
      for (int j = 0; j < matrices; ++j) {
        const float* from = block.data() + j * in * width;
        if (!as_pairs) {
          panels.set(j, panel, from);
          continue;
        }
        std::copy_n(from, rows * width, one.data());
        panels.set_pairs(j, panel, one.data(), one.data() + width, 2 * width);
      }
    }
  }
}

void direct_conv1d(
    const DirectConv1dWeight& weight,
    const ConvInput& input,
    const ConvOutput& output) {
  HWY_DYNAMIC_DISPATCH(convolve_direct)(weight, input, output);
}

} // namespace mlx_audio::kernels
#endif
