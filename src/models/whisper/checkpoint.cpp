#include "models/whisper/checkpoint.h"

#include <algorithm>
#include <array>
#include <filesystem>

#include "checkpoint/npy.h"
#include "mlx_audio/error.h"

namespace mlx_audio::whisper {

namespace fs = std::filesystem;

namespace {

// Parts of names between dots, Hugging Face's (or the original's) and ours.
constexpr std::array<std::pair<const char*, const char*>, 13> kParts = {{
    {"layers", "blocks"},
    {"self_attn_layer_norm", "attn_ln"},
    {"encoder_attn_layer_norm", "cross_attn_ln"},
    {"final_layer_norm", "mlp_ln"},
    {"self_attn", "attn"},
    {"encoder_attn", "cross_attn"},
    {"q_proj", "query"},
    {"k_proj", "key"},
    {"v_proj", "value"},
    {"out_proj", "out"},
    {"fc1", "mlp1"},
    {"fc2", "mlp2"},
    {"embed_tokens", "token_embedding"},
}};

nn::mx::Dtype dtype_of(checkpoint::DType dtype, const std::string& name) {
  using checkpoint::DType;
  switch (dtype) {
    case DType::float16:
      return nn::mx::float16;
    case DType::bfloat16:
      return nn::mx::bfloat16;
    case DType::float32:
      return nn::mx::float32;
    case DType::uint32:
      return nn::mx::uint32;
    case DType::int32:
      return nn::mx::int32;
    case DType::int64:
      return nn::mx::int64;
    case DType::boolean:
      return nn::mx::bool_;
    default:
      throw Error(
          ErrorKind::unsupported,
          "tensor '" + name + "' is of type " + checkpoint::to_string(dtype));
  }
}

// mlx-community's older repositories.
std::map<std::string, nn::mx::array> load_npz(const std::string& path) {
  checkpoint::NpyFile file(path);
  std::map<std::string, nn::mx::array> tensors;
  for (const auto& info : file.tensors()) {
    auto dtype = dtype_of(info.dtype, info.name);
    nn::mx::Shape shape(info.shape.begin(), info.shape.end());
    auto data = nn::mx::allocator::malloc(std::max<size_t>(info.bytes, 1));
    file.read(
        info, {static_cast<std::byte*>(data.buffer().raw_ptr()), info.bytes});
    tensors.emplace(info.name, nn::mx::array(std::move(data), shape, dtype));
  }
  return tensors;
}

std::vector<std::string> weight_files(const std::string& folder) {
  for (const char* name :
       {"weights.safetensors", "model.safetensors", "weights.npz"}) {
    auto path = fs::path(folder) / name;
    if (fs::is_regular_file(path)) {
      return {path.string()};
    }
  }
  std::vector<std::string> shards;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    auto name = entry.path().filename().string();
    if (name.starts_with("model-") && name.ends_with(".safetensors")) {
      shards.push_back(entry.path().string());
    }
  }
  std::sort(shards.begin(), shards.end());
  return shards;
}

} // namespace

std::string canonical_name(const std::string& name) {
  std::string_view rest = name;
  for (std::string_view prefix : {"model.", "base_model."}) {
    if (rest.starts_with(prefix)) {
      rest.remove_prefix(prefix.size());
    }
  }
  if (rest == "proj_out.weight" || rest == "alignment_heads" ||
      rest == "decoder.mask" || rest == "decoder._mask") {
    return "";
  }
  std::string out;
  while (!rest.empty()) {
    auto dot = std::min(rest.find('.'), rest.size());
    auto part = rest.substr(0, dot);
    rest.remove_prefix(std::min(dot + 1, rest.size()));
    auto known = std::find_if(kParts.begin(), kParts.end(), [&](auto& pair) {
      return part == pair.first;
    });
    out += out.empty() ? "" : ".";
    out += known == kParts.end() ? part : known->second;
  }
  auto replace = [&out](std::string_view from, std::string_view to) {
    if (auto at = out.find(from); at != std::string::npos) {
      out.replace(at, from.size(), to);
    }
  };
  replace(".mlp.0.", ".mlp1.");
  replace(".mlp.2.", ".mlp2.");
  replace("embed_positions.weight", "positional_embedding");
  replace("encoder.layer_norm.", "encoder.ln_post.");
  replace("decoder.layer_norm.", "decoder.ln.");
  // mlx-community's older conversions kept the encoder's positions under this.
  replace("_positional_embedding", "positional_embedding");
  return out;
}

Checkpoint load_checkpoint(const std::string& folder) {
  auto files = weight_files(folder);
  if (files.empty()) {
    throw Error(
        ErrorKind::not_found,
        "no Whisper weights in '" + folder + "'",
        "it should hold model.safetensors, weights.safetensors or "
        "weights.npz; `mlx-audio convert` makes them from .pt and "
        "CTranslate2's model.bin");
  }
  std::map<std::string, nn::mx::array> tensors;
  for (const auto& file : files) {
    auto some = file.ends_with(".npz")
        ? load_npz(file)
        : std::move(nn::Weights::load(file).tensors());
    tensors.merge(some);
  }
  Checkpoint checkpoint;
  for (const auto& [name, tensor] : tensors) {
    if (name.find(".mlp1.") != std::string::npos) {
      checkpoint.convolutions = nn::ConvLayout::mlx;
      break;
    }
  }
  checkpoint.weights = nn::Weights(std::move(tensors), files[0]);
  checkpoint.weights.read_quantization(folder);
  checkpoint.weights.rename(canonical_name);
  return checkpoint;
}

} // namespace mlx_audio::whisper
