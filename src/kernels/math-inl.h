// Vector versions of exp, tanh, erf, sine and what is made of them, for kernels
// written with Google Highway. Errors are the largest seen over f32 sweeps
// (tests/unit/kernels/math_test.cpp); NaN stays NaN. Included once per
// instruction set: see simd.h.
#if defined(MLX_AUDIO_KERNELS_MATH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef MLX_AUDIO_KERNELS_MATH_INL_H_
#undef MLX_AUDIO_KERNELS_MATH_INL_H_
#else
#define MLX_AUDIO_KERNELS_MATH_INL_H_
#endif

#include <cstdint>

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace mlx_audio::kernels::HWY_NAMESPACE::math {

namespace hn = hwy::HWY_NAMESPACE;

template <class D, class V = hn::Vec<D>>
HWY_INLINE V polynomial(D d, V /* x */, float c0) {
  return hn::Set(d, c0);
}

/// c0 + c1 x + ..., by Horner's rule.
template <class D, class V = hn::Vec<D>, class... Rest>
HWY_INLINE V polynomial(D d, V x, float c0, Rest... rest) {
  return hn::MulAdd(polynomial(d, x, rest...), x, hn::Set(d, c0));
}

/// x within [low, high]; NaN stays NaN, by the operands' order or, where
/// vectors are emulated, by selection.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V clamp(D /* d */, V x, V low, V high) {
#if HWY_TARGET == HWY_SCALAR
  x = hn::IfThenElse(hn::Lt(x, low), low, x);
  return hn::IfThenElse(hn::Gt(x, high), high, x);
#else
  return hn::Min(high, hn::Max(low, x));
#endif
}

/// e^x to 1.2e-7 relative; 0 below -87.3, infinity above 88.7.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exp(D d, V x) {
  const hn::RebindToSigned<D> di;
  const V low = hn::Set(d, -87.33654f);
  const V high = hn::Set(d, 88.72283f);
  // e^x = 2^n e^r. Adding 1.5 * 2^23 rounds n into the low bits of a float.
  const V clamped = clamp(d, x, low, high);
  const V magic = hn::Set(d, 12582912.0f);
  const V biased = hn::MulAdd(clamped, hn::Set(d, 1.44269504f), magic);
  const V n = hn::Sub(biased, magic);
  V r = hn::NegMulAdd(n, hn::Set(d, 0.693359375f), clamped);
  r = hn::NegMulAdd(n, hn::Set(d, -2.12194440e-4f), r);
  const V q = polynomial(
      d,
      r,
      4.999999343e-01f,
      1.666652040e-01f,
      4.166839079e-02f,
      8.368745116e-03f,
      1.381453999e-03f);
  const V p = hn::MulAdd(hn::Mul(r, r), q, hn::Add(r, hn::Set(d, 1.0f)));
  // Scaled in two steps, as 2^128 is no float.
  const auto i =
      hn::Sub(hn::BitCast(di, biased), hn::Set(di, int32_t{0x4B400000}));
  const auto half = hn::ShiftRight<1>(i);
  const auto power = [&](auto e) HWY_ATTR {
    return hn::BitCast(
        d, hn::ShiftLeft<23>(hn::Add(e, hn::Set(di, int32_t{127}))));
  };
  V y = hn::Mul(hn::Mul(p, power(half)), power(hn::Sub(i, half)));
  y = hn::IfThenZeroElse(hn::Lt(x, low), y);
  return hn::IfThenElse(
      hn::Gt(x, high), hn::BitCast(d, hn::Set(di, int32_t{0x7F800000})), y);
}

/// x / (1 + e^-x) to 5e-4 relative down to x = -87, for results that become
/// bf16 (4e-3): a third of silu's work.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V silu_for_bf16(D d, V x) {
  const hn::RebindToSigned<D> di;
  // e^-x = 2^n 2^r.
  const V limit = hn::Set(d, 126.0f);
  const V t =
      clamp(d, hn::Mul(x, hn::Set(d, -1.44269504f)), hn::Neg(limit), limit);
  const V magic = hn::Set(d, 12582912.0f);
  const V biased = hn::Add(t, magic);
  const V r = hn::Sub(t, hn::Sub(biased, magic));
  const V p =
      polynomial(d, r, 0.99992807f, 0.69326098f, 0.24261112f, 0.05517166f);
  const V e = hn::BitCast(
      d,
      hn::Add(hn::BitCast(di, p), hn::ShiftLeft<23>(hn::BitCast(di, biased))));
  return hn::Mul(x, hn::ApproximateReciprocal(hn::Add(e, hn::Set(d, 1.0f))));
}

/// 1 / (1 + e^-x) to 2e-7 relative.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V sigmoid(D d, V x) {
  const V one = hn::Set(d, 1.0f);
  return hn::Div(one, hn::Add(one, exp(d, hn::Neg(x))));
}

/// To 4e-7 relative, by the rational approximation that Eigen uses.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V tanh(D d, V x) {
  const V limit = hn::Set(d, 7.90531110763549805f);
  const V c = clamp(d, x, hn::Neg(limit), limit);
  const V s = hn::Mul(c, c);
  const V p = hn::Mul(
      c,
      polynomial(
          d,
          s,
          4.89352455891786e-03f,
          6.37261928875436e-04f,
          1.48572235717979e-05f,
          5.12229709037114e-08f,
          -8.60467152213735e-11f,
          2.00018790482477e-13f,
          -2.76076847742355e-16f));
  const V q = polynomial(
      d,
      s,
      4.89352518554385e-03f,
      2.26843463243900e-03f,
      1.18534705686654e-04f,
      1.19825839466702e-06f);
  return hn::Div(p, q);
}

/// To 5e-7 absolute, by the rational approximation that Eigen uses.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V erf(D d, V x) {
  const V limit = hn::Set(d, 4.0f);
  const V c = clamp(d, x, hn::Neg(limit), limit);
  const V s = hn::Mul(c, c);
  const V p = hn::Mul(
      c,
      polynomial(
          d,
          s,
          -1.60960333262415e-02f,
          -2.95459980854025e-03f,
          -7.34990630326855e-04f,
          -5.69250639462346e-05f,
          -2.10102402082508e-06f,
          2.77068142495902e-08f,
          -2.72614225801306e-10f));
  const V q = polynomial(
      d,
      s,
      -1.42647390514189e-02f,
      -7.37332916720468e-03f,
      -1.68282697438203e-03f,
      -2.13374055278905e-04f,
      -1.45660718464996e-05f);
  return hn::Div(p, q);
}

/// x - n pi, for |n| up to about 4000 exact to 1e-7.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V minus_multiple_of_pi(D d, V x, V n) {
#if HWY_NATIVE_FMA
  V r = hn::NegMulAdd(n, hn::Set(d, 3.14159274f), x);
  return hn::NegMulAdd(n, hn::Set(d, -8.74227766e-8f), r);
#else
  // Without a fused product, pi goes in pieces whose products are exact
  // (Cody & Waite 1980).
  V r = hn::NegMulAdd(n, hn::Set(d, 3.140625f), x);
  r = hn::NegMulAdd(n, hn::Set(d, 9.670257568359375e-4f), r);
  r = hn::NegMulAdd(n, hn::Set(d, 6.2771141529083251953e-7f), r);
  return hn::NegMulAdd(n, hn::Set(d, 1.2154201256553420762e-10f), r);
#endif
}

/// sin(r) for |r| <= pi / 2.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V sin_reduced(D d, V r) {
  const V s = hn::Mul(r, r);
  const V q = polynomial(
      d,
      s,
      -1.666665706e-01f,
      8.333016355e-03f,
      -1.980654711e-04f,
      2.599903264e-06f);
  return hn::MulAdd(hn::Mul(r, s), q, r);
}

/// To 3e-7 absolute for |x| <= 1e4; the error grows with |x| beyond.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V sin(D d, V x) {
  const hn::RebindToUnsigned<D> du;
  const V magic = hn::Set(d, 12582912.0f);
  const V biased = hn::MulAdd(x, hn::Set(d, 0.318309886f), magic);
  const V y =
      sin_reduced(d, minus_multiple_of_pi(d, x, hn::Sub(biased, magic)));
  // Odd multiples of pi turn the sign.
  return hn::Xor(y, hn::BitCast(d, hn::ShiftLeft<31>(hn::BitCast(du, biased))));
}

/// As sin.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V cos(D d, V x) {
  const hn::RebindToUnsigned<D> du;
  const V magic = hn::Set(d, 12582912.0f);
  const V half = hn::Set(d, 0.5f);
  // cos(x) = (-1)^n sin(x - (n - 1/2) pi) with n = round(x / pi + 1/2).
  const V biased =
      hn::Add(hn::MulAdd(x, hn::Set(d, 0.318309886f), half), magic);
  const V n = hn::Sub(hn::Sub(biased, magic), half);
  const V y = sin_reduced(d, minus_multiple_of_pi(d, x, n));
  const auto sign = hn::ShiftLeft<31>(hn::BitCast(du, biased));
  return hn::Xor(y, hn::BitCast(d, sign));
}

/// sin(x)^2, cheaper than sin; to 3e-7 absolute for |x| <= 1e4.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V sin_squared(D d, V x) {
  const V magic = hn::Set(d, 12582912.0f);
  const V biased = hn::MulAdd(x, hn::Set(d, 0.318309886f), magic);
  const V y =
      sin_reduced(d, minus_multiple_of_pi(d, x, hn::Sub(biased, magic)));
  return hn::Mul(y, y);
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE V relu(D d, V x) {
#if HWY_TARGET == HWY_SCALAR
  return hn::IfThenElse(hn::Lt(x, hn::Zero(d)), hn::Zero(d), x);
#else
  return hn::Max(hn::Zero(d), x);
#endif
}

/// x (1 + erf(x / sqrt 2)) / 2 to 2e-6 absolute for |x| <= 10.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V gelu(D d, V x) {
  const V half = hn::Mul(x, hn::Set(d, 0.5f));
  return hn::MulAdd(half, erf(d, hn::Mul(x, hn::Set(d, 0.707106781f))), half);
}

/// x sigmoid(x) to 3e-7 relative.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V silu(D d, V x) {
  return hn::Mul(x, sigmoid(d, x));
}

/// x (1 + tanh(u)) / 2 = x sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3).
template <class D, class V = hn::Vec<D>>
HWY_INLINE V gelu_tanh(D d, V x) {
  const V square = hn::Mul(x, x);
  const V twice_u =
      hn::Mul(x, polynomial(d, square, 1.59576912f, 0.0713548163f));
  return hn::Mul(x, sigmoid(d, twice_u));
}

} // namespace mlx_audio::kernels::HWY_NAMESPACE::math
HWY_AFTER_NAMESPACE();

#endif // include guard
