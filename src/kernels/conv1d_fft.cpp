#include "kernels/conv1d_fft.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include <omp.h>

#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/conv1d_fft.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

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

// One tile of one vector of channels: samples at x + n * stride for the n for
// which a sample exists, to the planes a + b, a, b of each frequency.
template <int N>
HWY_INLINE void forward_tile(
    const float* x, // may point before the data; only [first, last) is read
    ptrdiff_t stride,
    int first,
    int last,
    float* planes,
    size_t plane_stride) {
  constexpr int M = N / 2;
  const F d;
  const auto& tw = Twiddles<N>::get();
  Points<M> p;
  for (int n = 0; n < M; ++n) {
    int even = 2 * n;
    int odd = even + 1;
    C c{even >= first && even < last ? hn::LoadU(d, x + even * stride)
                                     : hn::Zero(d),
        odd >= first && odd < last ? hn::LoadU(d, x + odd * stride)
                                   : hn::Zero(d)};
    p.store(tw.reversed[n], c);
  }
  complex_fft<M>(p, tw);

  // The spectrum of N real points out of that of N / 2 complex ones.
  C z0 = p.load(0);
  hn::Store(hn::Add(z0.re, z0.im), d, planes); // frequency 0
  hn::Store(hn::Sub(z0.re, z0.im), d, planes + plane_stride); // N / 2
  float* out = planes + 2 * plane_stride;
  const V half = hn::Set(d, 0.5f);
  for (int k = 1; k <= M / 2; ++k) {
    C a = p.load(k);
    C b = p.load(M - k);
    C even{
        hn::Mul(half, hn::Add(a.re, b.re)), hn::Mul(half, hn::Sub(a.im, b.im))};
    C odd{
        hn::Mul(half, hn::Add(a.im, b.im)), hn::Mul(half, hn::Sub(b.re, a.re))};
    C turned = times(odd, tw.re[k], tw.im[k]);
    C low = even + turned; // frequency k
    C high{
        hn::Sub(even.re, turned.re),
        hn::Sub(turned.im, even.im)}; // frequency M - k
    float* to = out + 3 * (k - 1) * plane_stride;
    hn::Store(hn::Add(low.re, low.im), d, to);
    hn::Store(low.re, d, to + plane_stride);
    hn::Store(low.im, d, to + 2 * plane_stride);
    to = out + 3 * (M - k - 1) * plane_stride;
    hn::Store(hn::Add(high.re, high.im), d, to);
    hn::Store(high.re, d, to + plane_stride);
    hn::Store(high.im, d, to + 2 * plane_stride);
  }
}

// The way back: products of one tile and one vector of channels to `count`
// samples at y + n * stride, with bias and residual.
template <int N>
HWY_INLINE void inverse_tile(
    const float* planes,
    size_t plane_stride,
    float* y,
    const float* residual,
    const float* bias,
    ptrdiff_t stride,
    int count) {
  constexpr int M = N / 2;
  const F d;
  const auto& tw = Twiddles<N>::get();
  // Gauss: re = k1 - k3, im = k1 + k2.
  auto frequency = [&](int k) HWY_ATTR {
    const float* from = planes + (2 + 3 * (k - 1)) * plane_stride;
    V k1 = hn::Load(d, from);
    V k2 = hn::Load(d, from + plane_stride);
    V k3 = hn::Load(d, from + 2 * plane_stride);
    return C{hn::Sub(k1, k3), hn::Add(k1, k2)};
  };
  Points<M> p; // real and imaginary parts swapped: the inverse transform
  V x0 = hn::Load(d, planes);
  V xm = hn::Load(d, planes + plane_stride);
  p.store(0, {hn::Sub(x0, xm), hn::Add(x0, xm)});
  for (int k = 1; k <= M / 2; ++k) {
    C a = frequency(k);
    C b = frequency(M - k);
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

template <int N, class Weight>
void run(
    const FftConv1dWeight& w,
    const Weight* panels,
    const FftConvInput& input,
    const FftConvOutput& output) {
  const int outputs = N - w.kernel + 1; // valid samples a tile
  const int d = input.dilation;
  // Each phase of a dilated convolution is a plain one over every d-th sample.
  const int per_phase = (output.time + d - 1) / d;
  const int tiles_per_phase = (per_phase + outputs - 1) / outputs;
  const int tiles = tiles_per_phase * d;
  constexpr int max_block = 48; // rows of a product: a multiple of 6, in L2
  const int threads = omp_get_max_threads();
  int block = (tiles + threads - 1) / threads;
  block = std::min(max_block, (block + 5) / 6 * 6);
  const int blocks = (tiles + block - 1) / block;
  // Sixteen floats more keep planes off each other's cache sets.
  const size_t a_plane = static_cast<size_t>(block) * w.in + 16;
  const size_t c_plane = static_cast<size_t>(block) * w.out + 16;
  const int products = w.products();

#pragma omp parallel
  {
    static thread_local hwy::AlignedFreeUniquePtr<float[]> scratch;
    static thread_local size_t scratch_size = 0;
    size_t needed = products * (a_plane + c_plane);
    if (scratch_size < needed) {
      scratch = hwy::AllocateAligned<float>(needed);
      scratch_size = needed;
    }
    float* a = scratch.get();
    float* c = a + products * a_plane;
#pragma omp for schedule(dynamic)
    for (int b = 0; b < blocks; ++b) {
      const int begin = b * block;
      const int rows = std::min(block, tiles - begin);
      for (int m = 0; m < rows; ++m) {
        int phase = (begin + m) / tiles_per_phase;
        int start = (begin + m) % tiles_per_phase * outputs;
        // Sample n of the tile is x[at + n d].
        int at = phase + start * d - input.pad_left;
        int first = at >= 0 ? 0 : (-at + d - 1) / d;
        int last = at >= input.time ? 0 : (input.time - at + d - 1) / d;
        last = std::min(last, N);
        const ptrdiff_t stride = static_cast<ptrdiff_t>(d) * w.in;
        const float* x = input.x + static_cast<ptrdiff_t>(at) * w.in;
        for (int channel = 0; channel < w.in;
             channel += static_cast<int>(lanes())) {
          forward_tile<N>(
              x + channel,
              stride,
              first,
              last,
              a + static_cast<size_t>(m) * w.in + channel,
              a_plane);
        }
      }
      for (int g = 0; g < products; ++g) {
        panels::product<false>(
            a + g * a_plane,
            w.in,
            panels + g * w.panels.matrix_stride(),
            w.in,
            w.out,
            c + g * c_plane,
            w.out,
            rows);
      }
      for (int m = 0; m < rows; ++m) {
        int phase = (begin + m) / tiles_per_phase;
        int start = (begin + m) % tiles_per_phase * outputs;
        int at = phase + start * d;
        int left = at >= output.time ? 0 : (output.time - at + d - 1) / d;
        int count = std::min(outputs, left);
        const ptrdiff_t stride = static_cast<ptrdiff_t>(d) * w.out;
        const size_t offset = static_cast<size_t>(at) * w.out;
        for (int channel = 0; channel < w.out;
             channel += static_cast<int>(lanes())) {
          inverse_tile<N>(
              c + static_cast<size_t>(m) * w.out + channel,
              c_plane,
              output.y + offset + channel,
              output.residual == nullptr ? nullptr
                                         : output.residual + offset + channel,
              output.bias + channel,
              stride,
              count);
        }
      }
    }
  }
}

void convolve(
    const FftConv1dWeight& w,
    const FftConvInput& input,
    const FftConvOutput& output) {
  auto with_size = [&](auto size, const auto* panels) {
    run<decltype(size)::value>(w, panels, input, output);
  };
  auto with_panels = [&](const auto* panels) {
    if (w.size == 64) {
      with_size(std::integral_constant<int, 64>(), panels);
    } else {
      with_size(std::integral_constant<int, 32>(), panels);
    }
  };
  if (w.panels.half()) {
    with_panels(w.panels.halves());
  } else {
    with_panels(w.panels.floats());
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

bool FftConv1dWeight::worthwhile(int in, int out, int kernel) {
  // Up to 256 x 256: beyond, the transformed weights outgrow the cache.
  return in % 16 == 0 && out % panel_width() == 0 && kernel >= 3 &&
      kernel <= 16 && in >= 64 && out >= 64 && in * out <= 256 * 256;
}

FftConv1dWeight::FftConv1dWeight(
    const PanelSource& source,
    int out_,
    int kernel_,
    int in_,
    bool half)
    : in(in_), out(out_), kernel(kernel_), size(tile_size(in_, out_)) {
  panels = Panels(products(), in, out, half);
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
    const FftConvInput& input,
    const FftConvOutput& output) {
  HWY_DYNAMIC_DISPATCH(convolve)(weight, input, output);
}

} // namespace mlx_audio::kernels
#endif
