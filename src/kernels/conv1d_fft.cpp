#include "kernels/conv1d_fft.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <type_traits>
#include <vector>

#include <omp.h>

#include "kernels/scratch.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/conv1d_fft.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/bf16_pairs-inl.h"
#include "kernels/channel_map-inl.h"
#include "kernels/panels-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mlx_audio::kernels {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using F = hn::ScalableTag<float>;
using V = hn::Vec<F>;

HWY_INLINE size_t lanes() {
  return hn::Lanes(F());
}

// Complex numbers, one a lane.
struct C {
  V re;
  V im;
};

HWY_INLINE C operator+(C a, C b) {
  return {hn::Add(a.re, b.re), hn::Add(a.im, b.im)};
}
HWY_INLINE C operator-(C a, C b) {
  return {hn::Sub(a.re, b.re), hn::Sub(a.im, b.im)};
}
HWY_INLINE C times(C a, float re, float im) {
  const F d;
  V wr = hn::Set(d, re);
  V wi = hn::Set(d, im);
  return {
      hn::NegMulAdd(a.im, wi, hn::Mul(a.re, wr)),
      hn::MulAdd(a.im, wr, hn::Mul(a.re, wi))};
}

// Twiddles of one transform size, exp(-2 pi i k / N).
template <int N>
struct Twiddles {
  std::array<float, N> re;
  std::array<float, N> im;
  std::array<int, N / 2> reversed; // bit-reversed indices of N / 2 points

  Twiddles() {
    for (int k = 0; k < N; ++k) {
      re[k] = static_cast<float>(std::cos(2 * M_PI * k / N));
      im[k] = static_cast<float>(-std::sin(2 * M_PI * k / N));
    }
    int bits = 0;
    while ((1 << bits) < N / 2) {
      ++bits;
    }
    for (int i = 0; i < N / 2; ++i) {
      int r = 0;
      for (int b = 0; b < bits; ++b) {
        r |= ((i >> b) & 1) << (bits - 1 - b);
      }
      reversed[i] = r;
    }
  }

  static const Twiddles& get() {
    static const Twiddles twiddles;
    return twiddles;
  }
};

// Points of a transform, one vector of channels each, in L1.
template <int M>
struct Points {
  HWY_ALIGN float re[M * 16]; // 16: the most lanes of any target
  HWY_ALIGN float im[M * 16];

  HWY_INLINE C load(int i) const {
    const F d;
    return {hn::Load(d, re + i * lanes()), hn::Load(d, im + i * lanes())};
  }
  HWY_INLINE void store(int i, C c) {
    const F d;
    hn::Store(c.re, d, re + i * lanes());
    hn::Store(c.im, d, im + i * lanes());
  }
};

// In-place complex transform of M points in bit-reversed order; twiddles are
// those of size 2 M. Decimation in time, two levels at a time; for the inverse
// transform the caller swaps real and imaginary parts.
template <int M>
HWY_INLINE void complex_fft(Points<M>& p, const Twiddles<2 * M>& tw) {
  int h = 1;
  for (; 4 * h <= M; h *= 4) {
    int step = 2 * M / (4 * h); // twiddle index of one step at this level
    for (int base = 0; base < M; base += 4 * h) {
      for (int j = 0; j < h; ++j) {
        // In bit-reversed order the residues 0, 2, 1, 3 follow each other.
        C f0 = p.load(base + j);
        C f2 = p.load(base + j + h);
        C f1 = p.load(base + j + 2 * h);
        C f3 = p.load(base + j + 3 * h);
        if (j != 0) {
          f1 = times(f1, tw.re[j * step], tw.im[j * step]);
          f2 = times(f2, tw.re[2 * j * step], tw.im[2 * j * step]);
          f3 = times(f3, tw.re[3 * j * step], tw.im[3 * j * step]);
        }
        C t0 = f0 + f2;
        C t1 = f0 - f2;
        C t2 = f1 + f3;
        C t3 = f1 - f3; // times -i below
        p.store(base + j, t0 + t2);
        p.store(base + j + h, {hn::Add(t1.re, t3.im), hn::Sub(t1.im, t3.re)});
        p.store(base + j + 2 * h, t0 - t2);
        p.store(
            base + j + 3 * h, {hn::Sub(t1.re, t3.im), hn::Add(t1.im, t3.re)});
      }
    }
  }
  if (h < M) { // one level left
    for (int j = 0; j < h; ++j) {
      C a = p.load(j);
      C b = p.load(j + h);
      if (j != 0) {
        b = times(b, tw.re[2 * j], tw.im[2 * j]);
      }
      p.store(j, a + b);
      p.store(j + h, a - b);
    }
  }
}

// How the transforms' planes are stored, one value a channel each.
//
// Gauss: planes 0 and 1 are the two real frequencies 0 and N / 2; then a + b, a
// and b of each frequency a + b i. Products come back as k1, k2, k3.
struct GaussPlanes {
  static constexpr bool complex_pairs = false;
  static constexpr int planes_out(int n) {
    return 3 * (n / 2 - 1) + 2;
  }
  float* at;
  size_t stride;

  HWY_INLINE void put_reals(V first, V last) const {
    const F d;
    hn::Store(first, d, at);
    hn::Store(last, d, at + stride);
  }
  HWY_INLINE void put(int k, C c) const {
    const F d;
    float* to = at + (3 * k - 1) * stride;
    hn::Store(hn::Add(c.re, c.im), d, to);
    hn::Store(c.re, d, to + stride);
    hn::Store(c.im, d, to + 2 * stride);
  }
  HWY_INLINE C reals() const {
    const F d;
    return {hn::Load(d, at), hn::Load(d, at + stride)};
  }
  HWY_INLINE C get(int k) const { // re = k1 - k3, im = k1 + k2
    const F d;
    const float* from = at + (3 * k - 1) * stride;
    V k1 = hn::Load(d, from);
    V k2 = hn::Load(d, from + stride);
    V k3 = hn::Load(d, from + 2 * stride);
    return {hn::Sub(k1, k3), hn::Add(k1, k2)};
  }
};

// Plane k is frequency k as bf16 pairs (re, im); plane 0 the two real ones.
// Products come back as two f32 planes each.
struct PairPlanes {
  static constexpr bool complex_pairs = true;
  static constexpr int planes_out(int n) {
    return n;
  }
  float* at;
  size_t stride;

  HWY_INLINE void put_reals(V first, V last) const {
    put(0, {first, last});
  }
  HWY_INLINE void put(int k, C c) const {
    hn::Store(
        pairs::make(c.re, c.im),
        pairs::U(),
        reinterpret_cast<uint32_t*>(at) + k * stride);
  }
  HWY_INLINE C reals() const {
    return get(0);
  }
  HWY_INLINE C get(int k) const {
    const F d;
    return {
        hn::Load(d, at + 2 * k * stride),
        hn::Load(d, at + (2 * k + 1) * stride)};
  }
};

// The samples of a tile: n lies at past + n * stride from `first` on, at x + n
// * stride from `split` to `last`; all others are zeros. Both pointers may
// point before their data.
struct TileSamples {
  const float* past;
  const float* x;
  ptrdiff_t stride;
  int first;
  int split;
  int last;

  // Sample 0 is row `at` of the input, sample n row at + n d.
  TileSamples(const ConvInput& input, int at, int d, int in, int n)
      : past(input.past + static_cast<ptrdiff_t>(input.past_time + at) * in),
        x(input.x + static_cast<ptrdiff_t>(at) * in),
        stride(static_cast<ptrdiff_t>(d) * in),
        first(std::min(n, steps(-input.past_time - at, d))),
        split(std::min(n, steps(-at, d))),
        last(std::min(n, steps(input.time - at, d))) {}

 private:
  static int steps(int rows, int d) {
    return rows <= 0 ? 0 : (rows + d - 1) / d;
  }
};

// One tile of one vector of channels through the map, to planes.
template <int N, class Planes>
HWY_INLINE void forward_tile(
    const TileSamples& from,
    const ChannelMap* map,
    size_t channel,
    const Planes& planes) {
  constexpr int M = N / 2;
  const F d;
  const auto& tw = Twiddles<N>::get();
  Points<M> p;
  auto sample = [&](int n) HWY_ATTR {
    if (n < from.first || n >= from.last) {
      return hn::Zero(d);
    }
    const float* row = (n < from.split ? from.past : from.x) + n * from.stride;
    V v = hn::LoadU(d, row + channel);
    return map == nullptr ? v : map_channels(d, v, channel, *map);
  };
  for (int n = 0; n < M; ++n) {
    V even = sample(2 * n);
    p.store(tw.reversed[n], {even, sample(2 * n + 1)});
  }
  complex_fft<M>(p, tw);

  // The spectrum of N real points out of that of N / 2 complex ones.
  C z0 = p.load(0);
  planes.put_reals(hn::Add(z0.re, z0.im), hn::Sub(z0.re, z0.im));
  const V half = hn::Set(d, 0.5f);
  for (int k = 1; k <= M / 2; ++k) {
    C a = p.load(k);
    C b = p.load(M - k);
    C even{
        hn::Mul(half, hn::Add(a.re, b.re)), hn::Mul(half, hn::Sub(a.im, b.im))};
    C odd{
        hn::Mul(half, hn::Add(a.im, b.im)), hn::Mul(half, hn::Sub(b.re, a.re))};
    C turned = times(odd, tw.re[k], tw.im[k]);
    planes.put(k, even + turned);
    planes.put(
        M - k, {hn::Sub(even.re, turned.re), hn::Sub(turned.im, even.im)});
  }
}

// The way back: products of one tile and one vector of channels to `count`
// samples at y + n * stride, with bias and residual.
template <int N, class Planes>
HWY_INLINE void inverse_tile(
    const Planes& planes,
    float* y,
    const float* residual,
    const float* bias,
    ptrdiff_t stride,
    int count) {
  constexpr int M = N / 2;
  const F d;
  const auto& tw = Twiddles<N>::get();
  Points<M> p; // real and imaginary parts swapped: the inverse transform
  auto [x0, xm] = planes.reals();
  p.store(0, {hn::Sub(x0, xm), hn::Add(x0, xm)});
  for (int k = 1; k <= M / 2; ++k) {
    C a = planes.get(k);
    C b = planes.get(M - k);
    C even{hn::Add(a.re, b.re), hn::Sub(a.im, b.im)};
    C diff{hn::Sub(a.re, b.re), hn::Add(a.im, b.im)};
    C odd = times(diff, tw.re[k], -tw.im[k]);
    // Z[k] = even + i odd, Z[M - k] = conj(even - i odd)
    p.store(
        tw.reversed[k], {hn::Add(even.im, odd.re), hn::Sub(even.re, odd.im)});
    p.store(
        tw.reversed[M - k],
        {hn::Sub(odd.re, even.im), hn::Add(even.re, odd.im)});
  }
  complex_fft<M>(p, tw);
  const V b = hn::LoadU(d, bias);
  for (int n = 0; n < count; ++n) {
    const float* from = (n % 2 == 0 ? p.im : p.re) + (n / 2) * lanes();
    V v = hn::Add(hn::Load(d, from), b);
    if (residual != nullptr) {
      v = hn::Add(v, hn::LoadU(d, residual + n * stride));
    }
    hn::StoreU(v, d, y + n * stride);
  }
}

// Columns of product `g` for all rows: `count` panels from `panel` on.
template <class Weight>
void multiply(
    const FftConv1dWeight& w,
    const Weight* panels,
    int g,
    int panel,
    int count,
    const float* a,
    size_t a_plane,
    float* c,
    size_t c_plane,
    int rows) {
  const size_t panel_size = static_cast<size_t>(w.in) * w.panels.width();
  const Weight* from =
      panels + g * w.panels.matrix_stride() + panel * panel_size;
  const int columns = count * w.panels.width();
  if constexpr (std::is_same_v<Weight, uint32_t>) {
    constexpr int max_depth = 128; // half of a panel: 16 kB
    const auto* x = reinterpret_cast<const uint32_t*>(a) + g * a_plane;
    float* re = c + 2 * g * c_plane;
    for (int p = 0; p < count; ++p) {
      for (int k = 0; k < w.in; k += max_depth) {
        const int part = std::min(max_depth, w.in - k);
        pairs::for_rows<6>(rows, [&](auto n, int r) HWY_ATTR {
          auto tile = [&](auto two_reals) HWY_ATTR {
            pairs::complex_tile<decltype(n)::value, decltype(two_reals)::value>(
                x + static_cast<size_t>(r) * w.in + k,
                w.in,
                from + p * panel_size +
                    static_cast<size_t>(k) * w.panels.width(),
                part,
                k == 0,
                re + static_cast<size_t>(r) * columns + p * w.panels.width(),
                re + c_plane + static_cast<size_t>(r) * columns +
                    p * w.panels.width(),
                columns);
          };
          if (g == 0) {
            tile(std::true_type());
          } else {
            tile(std::false_type());
          }
        });
      }
    }
  } else {
    panels::product<false>(
        a + g * a_plane,
        w.in,
        from,
        w.in,
        columns,
        c + g * c_plane,
        columns,
        rows);
  }
}

template <int N, class Weight>
void run(
    const FftConv1dWeight& w,
    const Weight* panels,
    const ConvInput& input,
    const ConvOutput& output) {
  using Planes = std::
      conditional_t<std::is_same_v<Weight, uint32_t>, PairPlanes, GaussPlanes>;
  const int outputs = N - w.kernel + 1; // valid samples a tile
  const int d = input.dilation;
  // Each phase of a dilated convolution is a plain one over every d-th sample.
  const int per_phase = (output.time + d - 1) / d;
  const int tiles_per_phase = (per_phase + outputs - 1) / outputs;
  const int tiles = tiles_per_phase * d;
  // Rows of a product: a multiple of 6. Transforms of so many tiles, and
  // products for a few panels of columns, stay in L2.
  const int max_block = Planes::complex_pairs ? 24 : 48;
  const int threads = omp_get_max_threads();
  int block = (tiles + threads - 1) / threads;
  block = std::min(max_block, (block + 5) / 6 * 6);
  const int blocks = (tiles + block - 1) / block;
  const int group = std::min(2, w.panels.count()); // panels at once
  const int width = w.panels.width();
  const int products = w.products();
  // Sixteen floats more keep planes off each other's cache sets.
  const size_t a_plane = static_cast<size_t>(block) * w.in + 16;
  const size_t c_plane = static_cast<size_t>(block) * group * width + 16;
  // Sample n of tile m is x[at(m) + n d - pad].
  auto start_of = [&](int m) {
    return m / tiles_per_phase + m % tiles_per_phase * outputs * d;
  };

#pragma omp parallel
  {
    static thread_local Scratch scratch;
    float* a = scratch.floats(
        static_cast<int64_t>(products * a_plane) +
        static_cast<int64_t>(Planes::planes_out(N) * c_plane));
    float* c = a + products * a_plane;
#pragma omp for schedule(dynamic)
    for (int b = 0; b < blocks; ++b) {
      const int begin = b * block;
      const int rows = std::min(block, tiles - begin);
      for (int m = 0; m < rows; ++m) {
        const TileSamples samples(
            input, start_of(begin + m) - input.pad_left, d, w.in, N);
        for (int channel = 0; channel < w.in;
             channel += static_cast<int>(lanes())) {
          forward_tile<N>(
              samples,
              input.map,
              channel,
              Planes{a + static_cast<size_t>(m) * w.in + channel, a_plane});
        }
      }
      for (int panel = 0; panel < w.panels.count(); panel += group) {
        const int count = std::min(group, w.panels.count() - panel);
        for (int g = 0; g < products; ++g) {
          multiply(w, panels, g, panel, count, a, a_plane, c, c_plane, rows);
        }
        for (int m = 0; m < rows; ++m) {
          int at = start_of(begin + m);
          int left = at >= output.time ? 0 : (output.time - at + d - 1) / d;
          const ptrdiff_t stride = static_cast<ptrdiff_t>(d) * w.out;
          for (int column = 0; column < count * width;
               column += static_cast<int>(lanes())) {
            const int channel = panel * width + column;
            const size_t offset = static_cast<size_t>(at) * w.out + channel;
            inverse_tile<N>(
                Planes{
                    c + static_cast<size_t>(m) * count * width + column,
                    c_plane},
                output.y + offset,
                output.residual == nullptr ? nullptr : output.residual + offset,
                output.bias + channel,
                stride,
                std::min(outputs, left));
          }
        }
      }
    }
  }
}

void convolve(
    const FftConv1dWeight& w,
    const ConvInput& input,
    const ConvOutput& output) {
  auto with_panels = [&](const auto* panels) {
    if (w.size == 64) {
      run<64>(w, panels, input, output);
    } else {
      run<32>(w, panels, input, output);
    }
  };
  switch (w.panels.type()) {
    case PanelType::f32:
      return with_panels(w.panels.floats());
    case PanelType::f16:
      return with_panels(w.panels.halves());
    case PanelType::bf16_pairs:
      return with_panels(w.panels.pairs());
  }
}

} // namespace HWY_NAMESPACE
} // namespace mlx_audio::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mlx_audio::kernels {

namespace {

HWY_EXPORT(convolve);

// Larger tiles save products but their weights must stay in the last cache.
int tile_size(int in, int out) {
  return in * out <= 128 * 128 ? 64 : 32;
}

} // namespace

FftUse FftConv1dWeight::use(
    int in,
    int out,
    int kernel,
    PanelType type,
    bool long_sequences) {
  const bool supported = in % 16 == 0 && out % panel_width() == 0 &&
      kernel >= 3 && kernel <= 16 && in >= 64 && out >= 64;
  // AMX's tiles multiply faster than transforms save, and three taps of bf16
  // pairs are multiplied about as fast as transformed.
  const bool as_pairs = type == PanelType::bf16_pairs;
  if (!supported || (as_pairs && (runs_amx() || kernel < 5))) {
    return FftUse::never;
  }
  if (in * out <= 256 * 256) {
    return FftUse::always;
  }
  // Beyond, the transformed weights come from memory: many rows must share
  // them.
  return long_sequences && as_pairs ? FftUse::long_sequences : FftUse::never;
}

bool FftConv1dWeight::saves(int time, int dilation) const {
  const int outputs = size - kernel + 1;
  const int per_phase = (time + dilation - 1) / dilation;
  const int tiles = (per_phase + outputs - 1) / outputs * dilation;
  // A tile takes 2 N real products in place of a tap's one each output.
  return tiles >= 24 && 3LL * tiles * 2 * size <= 2LL * time * kernel;
}

FftConv1dWeight::FftConv1dWeight(
    const PanelSource& source,
    int out_,
    int kernel_,
    int in_,
    PanelType type)
    : in(in_), out(out_), kernel(kernel_), size(tile_size(in_, out_)) {
  const bool as_pairs = type == PanelType::bf16_pairs;
  panels = Panels(as_pairs ? size / 2 : 3 * (size / 2 - 1) + 2, in, out, type);
  // The conjugate spectrum, since a layer's convolution is a correlation, with
  // the inverse transform's 1 / N.
  const int bins = size / 2 + 1;
  std::vector<float> cosine(bins * kernel);
  std::vector<float> sine(bins * kernel);
  for (int f = 0; f < bins; ++f) {
    for (int j = 0; j < kernel; ++j) {
      double angle = 2 * M_PI * (f * j % size) / size;
      cosine[f * kernel + j] = static_cast<float>(std::cos(angle) / size);
      sine[f * kernel + j] = static_cast<float>(std::sin(angle) / size);
    }
  }
  const size_t rows = static_cast<size_t>(in) * panels.width();
#pragma omp parallel
  {
    std::vector<float> block(kernel * rows);
    std::vector<float> re(rows);
    std::vector<float> im(rows);
    std::vector<float> mixed(rows);
    std::vector<float> first(rows); // of frequency 0
    auto set_pair = [&](int f, int panel, const auto& low, const auto& high) {
      panels.set_pairs(f, panel, low.data(), high.data(), panels.width());
    };
#pragma omp for schedule(dynamic)
    for (int panel = 0; panel < panels.count(); ++panel) {
      source(panel * panels.width(), block.data());
      for (int f = 0; f < bins; ++f) {
        std::fill(re.begin(), re.end(), 0.0f);
        std::fill(im.begin(), im.end(), 0.0f);
        for (int j = 0; j < kernel; ++j) {
          const float* tap = block.data() + j * rows;
          const float c = cosine[f * kernel + j];
          const float s = sine[f * kernel + j];
#pragma omp simd
          for (size_t i = 0; i < rows; ++i) {
            re[i] += tap[i] * c;
            im[i] += tap[i] * s;
          }
        }
        if (as_pairs) {
          if (f == 0) {
            first = re;
          } else if (f == size / 2) {
            set_pair(0, panel, first, re);
          } else {
            std::transform(im.begin(), im.end(), im.begin(), std::negate<>());
            set_pair(f, panel, re, im);
          }
          continue;
        }
        if (f == 0 || f == size / 2) {
          panels.set(f == 0 ? 0 : 1, panel, re.data());
          continue;
        }
        panels.set(3 * f - 1, panel, re.data());
        for (size_t i = 0; i < rows; ++i) {
          mixed[i] = im[i] - re[i];
        }
        panels.set(3 * f, panel, mixed.data());
        for (size_t i = 0; i < rows; ++i) {
          mixed[i] = re[i] + im[i];
        }
        panels.set(3 * f + 1, panel, mixed.data());
      }
    }
  }
}

void fft_conv1d(
    const FftConv1dWeight& weight,
    const ConvInput& input,
    const ConvOutput& output) {
  HWY_DYNAMIC_DISPATCH(convolve)(weight, input, output);
}

} // namespace mlx_audio::kernels
#endif
