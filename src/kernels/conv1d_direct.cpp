#include "kernels/conv1d_direct.h"

#include <omp.h>

#include <algorithm>
#include <vector>

#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/conv1d_direct.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/panels-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mlx_audio::kernels::HWY_NAMESPACE {

template <class Weight>
void run(
    const DirectConv1dWeight& w,
    const Weight* panels,
    const float* x,
    int stride,
    int dilation,
    float* y,
    int time_out) {
  const size_t in = w.in;
  const size_t out = w.out;
  const int depth = w.panels.depth();
  const int padded = w.panels.padded_out();
  const bool whole = padded == w.out; // panels fit the rows of y
  // Rows a block: small enough that their inputs stay in the second cache while
  // the weights stream by, few enough that every thread has work.
  const int threads = omp_get_max_threads();
  int block = std::clamp(65536 / std::max(1, w.in), 6, 96) / 6 * 6;
  block = std::min(block, ((time_out + threads - 1) / threads + 5) / 6 * 6);
#pragma omp parallel
  {
    std::vector<float> taps(w.joined ? static_cast<size_t>(block) * depth : 0);
    std::vector<float> wide(whole ? 0 : static_cast<size_t>(block) * padded);
#pragma omp for schedule(dynamic)
    for (int t = 0; t < time_out; t += block) {
      const int rows = std::min(block, time_out - t);
      float* c = y + t * out;
      size_t c_stride = out;
      if (!whole) {
        c = wide.data();
        c_stride = padded;
        for (int r = 0; r < rows; ++r) {
          std::copy_n(y + (t + r) * out, out, c + r * c_stride);
        }
      }
      const float* from = x + static_cast<size_t>(t) * stride * in;
      if (w.joined) {
        for (int r = 0; r < rows; ++r) {
          for (int j = 0; j < w.kernel; ++j) {
            std::copy_n(
                from + (static_cast<size_t>(r) * stride + j * dilation) * in,
                in,
                taps.data() + (static_cast<size_t>(r) * w.kernel + j) * in);
          }
        }
        panels::product<true>(
            taps.data(), depth, panels, depth, padded, c, c_stride, rows);
      } else {
        for (int j = 0; j < w.kernel; ++j) {
          panels::product<true>(
              from + static_cast<size_t>(j) * dilation * in,
              stride * in,
              panels + j * w.panels.matrix_stride(),
              depth,
              padded,
              c,
              c_stride,
              rows);
        }
      }
      if (!whole) {
        for (int r = 0; r < rows; ++r) {
          std::copy_n(c + r * c_stride, out, y + (t + r) * out);
        }
      }
    }
  }
}

void convolve_direct(
    const DirectConv1dWeight& w,
    const float* x,
    int stride,
    int dilation,
    float* y,
    int time_out) {
  if (w.panels.half()) {
    run(w, w.panels.halves(), x, stride, dilation, y, time_out);
  } else {
    run(w, w.panels.floats(), x, stride, dilation, y, time_out);
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
    bool half)
    : in(in_), out(out_), kernel(kernel_), joined(kernel_ > 1 && in_ < 64) {
  panels = joined ? Panels(1, kernel * in, out, half)
                  : Panels(kernel, in, out, half);
  const size_t width = panels.width();
#pragma omp parallel
  {
    std::vector<float> block(kernel * in * width);
#pragma omp for schedule(dynamic)
    for (int panel = 0; panel < panels.count(); ++panel) {
      source(panel * panels.width(), block.data());
      for (int j = 0; j < (joined ? 1 : kernel); ++j) {
        panels.set(j, panel, block.data() + j * in * width);
      }
    }
  }
}

void direct_conv1d(
    const DirectConv1dWeight& weight,
    const float* x,
    int stride,
    int dilation,
    float* y,
    int time_out) {
  HWY_DYNAMIC_DISPATCH(convolve_direct)
  (weight, x, stride, dilation, y, time_out);
}

} // namespace mlx_audio::kernels
#endif
