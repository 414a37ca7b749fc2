#include "kernels/conv1d_pack.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace mlx_audio::kernels {

namespace {

std::vector<float> floats_of(const mx::array& a) {
  auto f = mx::contiguous(mx::astype(a, mx::float32));
  mx::eval(f);
  return {f.data<float>(), f.data<float>() + f.size()};
}

float to_float(const float* p) {
  return *p;
}
float to_float(const mx::bfloat16_t* p) {
  uint16_t bits = 0;
  std::memcpy(&bits, p, sizeof(bits));
  uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float value = 0;
  std::memcpy(&value, &wide, sizeof(value));
  return value;
}

// Stored weights read where they lie, in our order of axes, with weight norm
// applied on the way.
class WeightReader {
 public:
  WeightReader(const StoredConv1dWeight& stored, const std::vector<int>& axes)
      : values_(
            mx::contiguous(
                stored.values.dtype() == mx::bfloat16
                    ? stored.values
                    : mx::astype(stored.values, mx::float32))) {
    mx::eval(values_);
    int64_t strides[3] = {
        static_cast<int64_t>(values_.shape(1)) * values_.shape(2),
        values_.shape(2),
        1};
    for (int i = 0; i < 3; ++i) {
      shape_[i] = values_.shape(axes[i]);
      stride_[i] = strides[axes[i]];
    }
    scaled_axis_ =
        static_cast<int>(std::find(axes.begin(), axes.end(), 0) - axes.begin());
    scale_.assign(values_.shape(0), 1.0f);
    if (stored.gain) {
      set_weight_norm(floats_of(*stored.gain));
    }
  }

  int out() const {
    return shape_[0];
  }
  int kernel() const {
    return shape_[1];
  }
  int in() const {
    return shape_[2];
  }

  /// to[i * to_stride] = weight [o, j, i] for all i.
  void read(int o, int j, float* to, size_t to_stride) const {
    visit([&](const auto* data) {
      const auto* from = data + o * stride_[0] + j * stride_[1];
      bool by_out = scaled_axis_ == 0;
      float scale = by_out ? scale_[o] : 1.0f;
      for (int i = 0; i < shape_[2]; ++i) {
        float factor = by_out ? scale : scale_[i];
        to[i * to_stride] = to_float(from + i * stride_[2]) * factor;
      }
    });
  }

 private:
  template <class Function>
  void visit(Function&& function) const {
    if (values_.dtype() == mx::bfloat16) {
      function(values_.data<mx::bfloat16_t>());
    } else {
      function(values_.data<float>());
    }
  }

  void set_weight_norm(const std::vector<float>& gain) {
    const int rows = values_.shape(0);
    const size_t width = values_.size() / rows;
    visit([&](const auto* data) {
#pragma omp parallel for
      for (int r = 0; r < rows; ++r) {
        double sum = 0;
        for (size_t i = 0; i < width; ++i) {
          float v = to_float(data + r * width + i);
          sum += static_cast<double>(v) * v;
        }
        scale_[r] = sum > 0 ? static_cast<float>(gain[r] / std::sqrt(sum)) : 0;
      }
    });
  }

  mx::array values_;
  int shape_[3];
  int64_t stride_[3];
  int scaled_axis_; // of ours, that the first stored one became
  std::vector<float> scale_;
};

// A bf16 checkpoint is multiplied in bf16 where the CPU can, else held in f16.
// Of an f16 checkpoint, transformed or folded weights would lose as much again
// as storing them did.
PanelType panel_type(const StoredConv1dWeight& stored) {
  if (stored.values.dtype() != mx::bfloat16) {
    return PanelType::f32;
  }
  return has_bf16_pairs() ? PanelType::bf16_pairs : PanelType::f16;
}

std::vector<float> bias_of(const StoredConv1dWeight& stored, int out) {
  return stored.bias ? floats_of(*stored.bias) : std::vector<float>(out, 0.0f);
}

std::shared_ptr<PackedConv1d> pack(
    const PanelSource& source,
    int out,
    int kernel,
    int in,
    const Conv1dOptions& options,
    PanelType type) {
  auto packed = std::make_shared<PackedConv1d>();
  const auto use =
      FftConv1dWeight::use(in, out, kernel, type, options.long_sequences);
  if (options.stride == 1 && use != FftUse::never) {
    packed->fft =
        std::make_unique<FftConv1dWeight>(source, out, kernel, in, type);
  }
  if (packed->fft == nullptr || use == FftUse::long_sequences) {
    packed->direct =
        std::make_unique<DirectConv1dWeight>(source, out, kernel, in, type);
  }
  return packed;
}

// [channels, kernel, 1] -> [kernel, channels]
std::shared_ptr<PackedConv1d> pack_depthwise(
    const WeightReader& weight,
    const StoredConv1dWeight& stored) {
  auto packed = std::make_shared<PackedConv1d>();
  size_t channels = weight.out();
  packed->bias = bias_of(stored, weight.out());
  packed->depthwise.resize(weight.kernel() * channels);
  for (int c = 0; c < weight.out(); ++c) {
    for (int j = 0; j < weight.kernel(); ++j) {
      weight.read(c, j, &packed->depthwise[j * channels + c], 1);
    }
  }
  return packed;
}

} // namespace

std::shared_ptr<const PackedConv1d> pack_conv1d(
    const StoredConv1dWeight& stored,
    const std::vector<int>& axes,
    const Conv1dOptions& options) {
  WeightReader weight(stored, axes);
  if (options.groups > 1) {
    return pack_depthwise(weight, stored);
  }
  const size_t width = panel_width();
  auto source = [&](int first, float* block) {
    const size_t tap = weight.in() * width;
    std::fill_n(block, weight.kernel() * tap, 0.0f);
    for (size_t c = 0; c < width; ++c) {
      int o = first + static_cast<int>(c);
      for (int j = 0; o < weight.out() && j < weight.kernel(); ++j) {
        weight.read(o, j, block + j * tap + c, width);
      }
    }
  };
  auto packed = pack(
      source,
      weight.out(),
      weight.kernel(),
      weight.in(),
      options,
      panel_type(stored));
  packed->bias = bias_of(stored, weight.out());
  return packed;
}

std::shared_ptr<const PackedConv1d> pack_conv_transpose1d(
    const StoredConv1dWeight& stored,
    const std::vector<int>& axes,
    const ConvTranspose1dOptions& options) {
  WeightReader weight(stored, axes);
  if (options.groups > 1) {
    return pack_depthwise(weight, stored);
  }
  const int stride = options.stride;
  const int taps = (weight.kernel() + stride - 1) / stride;
  const int out = stride * weight.out();
  const size_t width = panel_width();
  auto source = [&](int first, float* block) {
    const size_t tap = weight.in() * width;
    std::fill_n(block, taps * tap, 0.0f);
    for (size_t c = 0; c < width; ++c) {
      int column = first + static_cast<int>(c);
      if (column >= out) {
        break;
      }
      int phase = column / weight.out();
      int o = column % weight.out();
      for (int j = 0; j < taps; ++j) {
        int stored_tap = phase + (taps - 1 - j) * stride;
        if (stored_tap < weight.kernel()) {
          weight.read(o, stored_tap, block + j * tap + c, width);
        }
      }
    }
  };
  auto packed = pack(source, out, taps, weight.in(), {}, panel_type(stored));
  auto bias = bias_of(stored, weight.out());
  for (int p = 0; p < stride; ++p) {
    packed->bias.insert(packed->bias.end(), bias.begin(), bias.end());
  }
  return packed;
}

} // namespace mlx_audio::kernels
