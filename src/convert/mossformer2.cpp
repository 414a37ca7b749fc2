// Names and layouts: see models/mossformer2_se/weights.h.
#include "convert/mossformer2.h"

#include <filesystem>
#include <fstream>
#include <set>

#include "mlx_audio/error.h"
#include "models/mossformer2_se/weights.h"

namespace mlx_audio::convert {

namespace {

namespace fs = std::filesystem;
using checkpoint::LazyTensor;

LazyTensor channels_last(LazyTensor tensor) {
  if (tensor.shape.size() == 3) {
    return checkpoint::transpose(std::move(tensor), {0, 2, 1});
  }
  if (tensor.shape.size() == 4) {
    return checkpoint::transpose(std::move(tensor), {0, 2, 3, 1});
  }
  return tensor;
}

} // namespace

std::string clearervoice_file(const std::string& path) {
  fs::path given(path);
  if (!fs::is_directory(given)) {
    bool alone = !fs::exists(given.parent_path() / "config.json");
    return alone && given.extension() == ".pt" ? path : "";
  }
  if (fs::exists(given / "config.json")) {
    return "";
  }
  for (const char* name : {"last_best_checkpoint", "last_checkpoint"}) {
    std::ifstream in(given / name);
    std::string line;
    if (in && std::getline(in, line)) {
      line.erase(line.find_last_not_of(" \r\n\t") + 1);
      // A name in this folder, no path out of it.
      auto file = given / fs::path(line).filename();
      if (!line.empty() && fs::is_regular_file(file)) {
        return file.string();
      }
    }
  }
  std::string only;
  for (const auto& entry : fs::directory_iterator(given)) {
    if (entry.path().extension() == ".pt") {
      if (!only.empty()) {
        return "";
      }
      only = entry.path().string();
    }
  }
  return only;
}

std::vector<LazyTensor> mossformer2_to_mlx(std::vector<LazyTensor> tensors) {
  bool upstream = false;
  for (const auto& tensor : tensors) {
    upstream = upstream ||
        tensor.name.find(".mdl.3.sequential.1.conv.") != std::string::npos;
  }
  std::vector<LazyTensor> out;
  std::set<std::string> names;
  for (auto& tensor : tensors) {
    auto at = tensor.name.find("mossformer.");
    auto prefix = tensor.name.substr(0, std::min(at, tensor.name.size()));
    bool network = at != std::string::npos &&
        (prefix.empty() || prefix == "model." || prefix == "module." ||
         prefix == "model.module.");
    // Computed, not learned; the conversions leave it out too.
    if (!network ||
        tensor.name.find(".rotary_pos_emb.freqs") != std::string::npos) {
      continue;
    }
    auto name = mossformer2_se::canonical_name(tensor.name.substr(at));
    tensor.name = "model.mossformer." + name;
    if (!names.insert(tensor.name).second) {
      throw Error(
          ErrorKind::corrupt_data,
          "the checkpoint has the tensor '" + tensor.name + "' twice");
    }
    if (name == "norm.weight" || name == "norm.bias") {
      auto size = static_cast<int64_t>(checkpoint::element_count(tensor.shape));
      out.push_back(checkpoint::reshape(std::move(tensor), {size, 1}));
    } else if (upstream) {
      out.push_back(channels_last(std::move(tensor)));
    } else {
      out.push_back(std::move(tensor));
    }
  }
  return out;
}

nlohmann::json mossformer2_config(const std::vector<LazyTensor>& tensors) {
  nlohmann::json config{
      {"model_type", "mossformer2_se"},
      {"sample_rate", 48000},
      {"win_type", "hamming"},
      {"win_len", 1920},
      {"win_inc", 384},
      {"fft_len", 1920},
      {"num_mels", 60},
      {"preemphasis", 0.97},
      {"one_time_decode_length", 20},
      {"decode_window", 4},
      {"chunk_seconds", 4.0},
      {"chunk_overlap", 0.25},
      {"auto_chunk_threshold", 60.0}};
  int blocks = 0;
  for (const auto& tensor : tensors) {
    auto rows = tensor.shape.empty() ? 0 : tensor.shape[0];
    auto ends_with = [&](const std::string& end) {
      return tensor.name.size() >= end.size() &&
          tensor.name.compare(
              tensor.name.size() - end.size(), end.size(), end) == 0;
    };
    if (ends_with(".conv1d_encoder.weight")) {
      config["out_channels"] = rows;
    } else if (ends_with("mossformer.norm.weight")) {
      config["in_channels"] = rows;
    } else if (ends_with(".conv1_decoder.weight")) {
      config["out_channels_final"] = rows;
    } else if (ends_with(".to_qk.linear.bias")) {
      ++blocks;
    }
  }
  config["num_blocks"] = blocks;
  return config;
}

} // namespace mlx_audio::convert
