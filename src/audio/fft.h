// Discrete Fourier transform of real signals of any length; fast for lengths of
// small factors (400, 512, 1920). Stockham's autosort form with radices 4, 2,
// 3, 5 and others. T is float, double or a vector of floats, which transforms
// one signal a lane.
#pragma once

#include <cmath>
#include <cstddef>
#include <numbers>
#include <utility>
#include <vector>

namespace mlx_audio::audio {

/// Four signals side by side; compiles to SSE or NEON.
using Float4 = float __attribute__((vector_size(16)));

template <typename T>
struct ScalarOf {
  using type = T;
};
template <>
struct ScalarOf<Float4> {
  using type = float;
};

/// A plan with its working memory: one a thread.
template <typename T>
class RealFft {
 public:
  using Scalar = ScalarOf<T>::type;

  /// n >= 1.
  explicit RealFft(size_t n) : n_(n), half_(n % 2 == 0), m_(half_ ? n / 2 : n) {
    for (size_t left = m_; left > 1;) {
      size_t radix = 2;
      for (size_t r : {4, 2, 3, 5}) {
        if (left % r == 0) {
          radix = r;
          break;
        }
        radix = 0;
      }
      if (radix == 0) {
        for (radix = 7; left % radix != 0; radix += 2) {
        }
      }
      factors_.push_back(radix);
      left /= radix;
    }
    auto unit = [](size_t k, size_t of) {
      double angle = -2 * std::numbers::pi * static_cast<double>(k) /
          static_cast<double>(of);
      return Twiddle{
          static_cast<Scalar>(std::cos(angle)),
          static_cast<Scalar>(std::sin(angle))};
    };
    for (size_t k = 0; k < m_; ++k) {
      twiddles_.push_back(unit(k, m_));
    }
    for (size_t k = 0; half_ && k <= m_; ++k) {
      split_.push_back(unit(k, n_));
    }
    a_.resize(m_);
    b_.resize(m_);
  }

  size_t size() const {
    return n_;
  }
  size_t bins() const {
    return n_ / 2 + 1;
  }

  /// in [n] -> real and imaginary parts of bins 0..n/2.
  void forward(const T* in, T* re, T* im) {
    for (size_t i = 0; i < m_; ++i) {
      a_[i] = half_ ? Complex{in[2 * i], in[2 * i + 1]} : Complex{in[i], T{}};
    }
    transform();
    if (!half_) {
      for (size_t k = 0; k < bins(); ++k) {
        re[k] = a_[k].re;
        im[k] = a_[k].im;
      }
      return;
    }
    // Even samples lie in the real, odd in the imaginary parts: take apart.
    const Scalar c = Scalar(0.5);
    for (size_t k = 0; k <= m_; ++k) {
      const Complex& x = a_[k % m_];
      const Complex& y = a_[(m_ - k) % m_];
      T even_re = (x.re + y.re) * c;
      T even_im = (x.im - y.im) * c;
      T odd_re = (x.im + y.im) * c;
      T odd_im = (y.re - x.re) * c;
      Twiddle w = split_[k];
      re[k] = even_re + odd_re * w.re - odd_im * w.im;
      im[k] = even_im + odd_re * w.im + odd_im * w.re;
    }
  }

 private:
  struct Complex {
    T re;
    T im;
  };
  struct Twiddle {
    Scalar re;
    Scalar im;
  };

  static Complex turn(const Complex& x, Twiddle w) {
    return {x.re * w.re - x.im * w.im, x.re * w.im + x.im * w.re};
  }
  static Complex add(const Complex& x, const Complex& y) {
    return {x.re + y.re, x.im + y.im};
  }
  static Complex sub(const Complex& x, const Complex& y) {
    return {x.re - y.re, x.im - y.im};
  }
  /// -i x
  static Complex down(const Complex& x) {
    return {x.im, -x.re};
  }

  void transform() {
    size_t n = m_;
    size_t stride = 1;
    for (size_t radix : factors_) {
      n /= radix;
      for (size_t p = 0; p < n; ++p) {
        const Complex* in = a_.data() + stride * p;
        Complex* out = b_.data() + stride * radix * p;
        switch (radix) {
          case 4:
            pass4(in, out, stride, n, p);
            break;
          case 2:
            pass2(in, out, stride, n, p);
            break;
          case 3:
            pass3(in, out, stride, n, p);
            break;
          case 5:
            pass5(in, out, stride, n, p);
            break;
          default:
            pass_any(in, out, stride, n, p, radix);
        }
      }
      std::swap(a_, b_);
      stride *= radix;
    }
  }

  Twiddle twiddle(size_t stride, size_t p, size_t k) const {
    return twiddles_[stride * p * k % m_];
  }

  void pass2(const Complex* in, Complex* out, size_t stride, size_t n, size_t p)
      const {
    Twiddle w = twiddle(stride, p, 1);
    for (size_t q = 0; q < stride; ++q) {
      const Complex& x0 = in[q];
      const Complex& x1 = in[q + stride * n];
      out[q] = add(x0, x1);
      out[q + stride] = turn(sub(x0, x1), w);
    }
  }

  void pass3(const Complex* in, Complex* out, size_t stride, size_t n, size_t p)
      const {
    const auto s = static_cast<Scalar>(std::numbers::sqrt3 / 2);
    const Scalar half = Scalar(0.5);
    Twiddle w1 = twiddle(stride, p, 1);
    Twiddle w2 = twiddle(stride, p, 2);
    for (size_t q = 0; q < stride; ++q) {
      const Complex& x0 = in[q];
      Complex sum = add(in[q + stride * n], in[q + 2 * stride * n]);
      Complex dif = sub(in[q + stride * n], in[q + 2 * stride * n]);
      Complex mid = {x0.re - sum.re * half, x0.im - sum.im * half};
      Complex side = {dif.im * s, -(dif.re * s)};
      out[q] = add(x0, sum);
      out[q + stride] = turn(add(mid, side), w1);
      out[q + 2 * stride] = turn(sub(mid, side), w2);
    }
  }

  void pass4(const Complex* in, Complex* out, size_t stride, size_t n, size_t p)
      const {
    Twiddle w1 = twiddle(stride, p, 1);
    Twiddle w2 = twiddle(stride, p, 2);
    Twiddle w3 = twiddle(stride, p, 3);
    for (size_t q = 0; q < stride; ++q) {
      const Complex& x0 = in[q];
      const Complex& x1 = in[q + stride * n];
      const Complex& x2 = in[q + 2 * stride * n];
      const Complex& x3 = in[q + 3 * stride * n];
      Complex s02 = add(x0, x2);
      Complex d02 = sub(x0, x2);
      Complex s13 = add(x1, x3);
      Complex d13 = down(sub(x1, x3));
      out[q] = add(s02, s13);
      out[q + stride] = turn(add(d02, d13), w1);
      out[q + 2 * stride] = turn(sub(s02, s13), w2);
      out[q + 3 * stride] = turn(sub(d02, d13), w3);
    }
  }

  void pass5(const Complex* in, Complex* out, size_t stride, size_t n, size_t p)
      const {
    const auto c1 = static_cast<Scalar>(std::cos(0.4 * std::numbers::pi));
    const auto c2 = static_cast<Scalar>(std::cos(0.8 * std::numbers::pi));
    const auto s1 = static_cast<Scalar>(std::sin(0.4 * std::numbers::pi));
    const auto s2 = static_cast<Scalar>(std::sin(0.8 * std::numbers::pi));
    Twiddle w1 = twiddle(stride, p, 1);
    Twiddle w2 = twiddle(stride, p, 2);
    Twiddle w3 = twiddle(stride, p, 3);
    Twiddle w4 = twiddle(stride, p, 4);
    size_t step = stride * n;
    for (size_t q = 0; q < stride; ++q) {
      const Complex& x0 = in[q];
      Complex s14 = add(in[q + step], in[q + 4 * step]);
      Complex d14 = sub(in[q + step], in[q + 4 * step]);
      Complex s23 = add(in[q + 2 * step], in[q + 3 * step]);
      Complex d23 = sub(in[q + 2 * step], in[q + 3 * step]);
      Complex m1 = {
          x0.re + s14.re * c1 + s23.re * c2, x0.im + s14.im * c1 + s23.im * c2};
      Complex m2 = {
          x0.re + s14.re * c2 + s23.re * c1, x0.im + s14.im * c2 + s23.im * c1};
      Complex e1 = down({d14.re * s1 + d23.re * s2, d14.im * s1 + d23.im * s2});
      Complex e2 = down({d14.re * s2 - d23.re * s1, d14.im * s2 - d23.im * s1});
      out[q] = {x0.re + s14.re + s23.re, x0.im + s14.im + s23.im};
      out[q + stride] = turn(add(m1, e1), w1);
      out[q + 2 * stride] = turn(add(m2, e2), w2);
      out[q + 3 * stride] = turn(sub(m2, e2), w3);
      out[q + 4 * stride] = turn(sub(m1, e1), w4);
    }
  }

  void pass_any(
      const Complex* in,
      Complex* out,
      size_t stride,
      size_t n,
      size_t p,
      size_t radix) const {
    size_t root = m_ / radix;
    for (size_t q = 0; q < stride; ++q) {
      for (size_t k = 0; k < radix; ++k) {
        Complex sum = in[q];
        for (size_t j = 1; j < radix; ++j) {
          sum = add(
              sum,
              turn(in[q + j * stride * n], twiddles_[j * k % radix * root]));
        }
        out[q + k * stride] = turn(sum, twiddle(stride, p, k));
      }
    }
  }

  size_t n_;
  bool half_; // even n: a complex transform of half the length
  size_t m_;
  std::vector<size_t> factors_;
  std::vector<Twiddle> twiddles_;
  std::vector<Twiddle> split_;
  std::vector<Complex> a_;
  std::vector<Complex> b_;
};

} // namespace mlx_audio::audio
