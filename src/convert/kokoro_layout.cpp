#include <utility>

#include "checkpoint/torch_file.h"
#include "convert/kokoro.h"
#include "mlx_audio/error.h"

namespace mlx_audio::convert {

namespace {

using checkpoint::LazyTensor;

bool ends_with(const std::string& text, const std::string& suffix) {
  return text.size() >= suffix.size() &&
      text.compare(text.size() - suffix.size(), suffix.size(), suffix) == 0;
}

// Replaces `from` at the end of `text` by `to`.
bool replace_end(
    std::string& text,
    const std::string& from,
    const std::string& to) {
  if (!ends_with(text, from)) {
    return false;
  }
  text.replace(text.size() - from.size(), from.size(), to);
  return true;
}

constexpr std::pair<const char*, const char*> lstm_names[] = {
    {".weight_ih_l0", ".Wx_forward"},
    {".weight_hh_l0", ".Wh_forward"},
    {".bias_ih_l0", ".bias_ih_forward"},
    {".bias_hh_l0", ".bias_hh_forward"},
    {".weight_ih_l0_reverse", ".Wx_backward"},
    {".weight_hh_l0_reverse", ".Wh_backward"},
    {".bias_ih_l0_reverse", ".bias_ih_backward"},
    {".bias_hh_l0_reverse", ".bias_hh_backward"}};

bool is_conv(const LazyTensor& tensor) {
  return tensor.shape.size() == 3 &&
      (ends_with(tensor.name, ".weight_v") ||
       ends_with(tensor.name, ".weight"));
}

LazyTensor other_layout(LazyTensor tensor, bool to_mlx) {
  std::string name = tensor.name;
  if (is_conv(tensor)) {
    tensor = checkpoint::transpose(std::move(tensor), {0, 2, 1});
  }
  for (const auto& [torch, mlx] : lstm_names) {
    if (replace_end(name, to_mlx ? torch : mlx, to_mlx ? mlx : torch)) {
      break;
    }
  }
  if (name.rfind("text_encoder.cnn.", 0) == 0) {
    // The convolution of a block is its part 0, the norm part 1.
    if (to_mlx) {
      replace_end(name, ".gamma", ".weight") ||
          replace_end(name, ".beta", ".bias");
    } else if (name.find(".1.") != std::string::npos) {
      replace_end(name, ".1.weight", ".1.gamma") ||
          replace_end(name, ".1.bias", ".1.beta");
    }
  }
  tensor.name = name;
  return tensor;
}

} // namespace

bool is_kokoro_mlx_layout(const std::vector<LazyTensor>& tensors) {
  for (const auto& tensor : tensors) {
    if (tensor.name == "predictor.lstm.Wx_forward") {
      return true;
    }
  }
  return false;
}

std::vector<LazyTensor> kokoro_layout(
    std::vector<LazyTensor> tensors,
    bool to_mlx) {
  if (is_kokoro_mlx_layout(tensors) == to_mlx) {
    return tensors;
  }
  for (auto& tensor : tensors) {
    tensor = other_layout(std::move(tensor), to_mlx);
  }
  return tensors;
}

std::vector<LazyTensor> kokoro_from_torch(std::vector<LazyTensor> tensors) {
  std::vector<LazyTensor> out;
  for (auto& tensor : tensors) {
    std::string& name = tensor.name;
    size_t module = name.find(".module.");
    if (module != std::string::npos) {
      name.erase(module, 7);
    }
    replace_end(name, ".parametrizations.weight.original0", ".weight_g");
    replace_end(name, ".parametrizations.weight.original1", ".weight_v");
    if (!ends_with(name, "position_ids")) {
      out.push_back(std::move(tensor));
    }
  }
  return out;
}

LazyTensor kokoro_voice_from_torch(const std::string& path) {
  auto file = std::make_shared<checkpoint::TorchFile>(path);
  auto tensors = checkpoint::lazy_tensors(file);
  if (tensors.size() != 1 || tensors[0].shape.empty() ||
      tensors[0].shape.back() != 256 ||
      !checkpoint::is_float(tensors[0].dtype)) {
    throw Error(
        ErrorKind::corrupt_data,
        "'" + path + "' is no Kokoro voice of rows of 256 floats");
  }
  LazyTensor voice =
      checkpoint::cast(std::move(tensors[0]), checkpoint::DType::float32);
  auto rows =
      static_cast<int64_t>(checkpoint::element_count(voice.shape) / 256);
  voice.name = "voice";
  return checkpoint::reshape(std::move(voice), {rows, 1, 256});
}

} // namespace mlx_audio::convert
