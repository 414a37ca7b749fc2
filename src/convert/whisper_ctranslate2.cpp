// Variables of python/ctranslate2/specs/whisper_spec.py to the names of
// mlx-audio's Whisper:
//   E/layer_N/self_attention/linear_0   E.blocks.N.attn.{query,key,value},
//                                       stacked on axis 0, key without bias
//   E/layer_N/attention/linear_1        E.blocks.N.cross_attn.{key,value}
#include <cstring>
#include <map>

#include "convert/whisper.h"
#include "mlx_audio/error.h"

namespace mlx_audio::convert {

namespace {

using checkpoint::Bytes;
using checkpoint::CTranslate2File;
using checkpoint::DType;
using checkpoint::LazyTensor;
using checkpoint::TensorInfo;
using nlohmann::json;

const TensorInfo&
variable(const CTranslate2File& file, const std::string& name, size_t rank) {
  const TensorInfo* found = file.find(name);
  if (!found || found->shape.size() != rank) {
    throw Error(
        ErrorKind::corrupt_data,
        "the CTranslate2 model has no Whisper variable '" + name + "' with " +
            std::to_string(rank) + " axes");
  }
  return *found;
}

int64_t layer_count(const CTranslate2File& file, const std::string& side) {
  int64_t count = 0;
  while (file.find(
      side + "/layer_" + std::to_string(count) + "/ffn/layer_norm/gamma")) {
    ++count;
  }
  return count;
}

int64_t scalar(const CTranslate2File& file, const std::string& name) {
  const TensorInfo& info = variable(file, name, 0);
  Bytes bytes = file.TensorSource::read(info);
  int64_t value = 0;
  std::memcpy(&value, bytes.data(), std::min<size_t>(8, bytes.size()));
  if (checkpoint::is_float(info.dtype) || value < 1 || value > 1024) {
    throw Error(
        ErrorKind::corrupt_data,
        "the variable '" + name + "' is no number of heads");
  }
  return value;
}

class Mapper {
 public:
  explicit Mapper(std::shared_ptr<const CTranslate2File> file)
      : file_(std::move(file)) {
    for (const auto& tensor : file_->tensors()) {
      by_name_[tensor.name] = &tensor;
    }
  }

  std::vector<LazyTensor> map();

 private:
  LazyTensor load(const std::string& name) const {
    auto found = by_name_.find(name);
    if (found == by_name_.end()) {
      throw Error(
          ErrorKind::corrupt_data,
          "the CTranslate2 model lacks the Whisper variable '" + name + "'");
    }
    const TensorInfo& info = *found->second;
    if (info.dtype == DType::int8 || info.dtype == DType::int16) {
      return dequantized(info);
    }
    return {name, info.dtype, info.shape, [file = file_, &info] {
              return file->TensorSource::read(info);
            }};
  }

  // CTranslate2 stores round(w x scale), with a scale for each row (int8) or
  // one for all (int16).
  LazyTensor dequantized(const TensorInfo& info) const {
    auto found = by_name_.find(info.name + "_scale");
    uint64_t rows = info.shape.empty() ? 0 : info.shape[0];
    uint64_t scales = found == by_name_.end()
        ? 0
        : checkpoint::element_count(found->second->shape);
    if (rows == 0 || (scales != 1 && scales != rows) ||
        found->second->dtype != DType::float32) {
      throw Error(
          ErrorKind::corrupt_data,
          "the variable '" + info.name + "' is quantized without its scales");
    }
    return {
        info.name,
        DType::float32,
        info.shape,
        [file = file_, &info, &scale_info = *found->second, rows] {
          Bytes q = file->TensorSource::read(info);
          Bytes scale_bytes = file->TensorSource::read(scale_info);
          std::vector<float> scales(scale_bytes.size() / sizeof(float));
          std::memcpy(scales.data(), scale_bytes.data(), scale_bytes.size());
          size_t item = checkpoint::item_size(info.dtype);
          size_t count = q.size() / item;
          std::vector<float> values(count);
          for (size_t i = 0; i < count; ++i) {
            float value = 0;
            if (item == 1) {
              value = static_cast<float>(static_cast<int8_t>(q[i]));
            } else {
              int16_t wide = 0;
              std::memcpy(&wide, q.data() + 2 * i, 2);
              value = wide;
            }
            values[i] =
                value / scales[scales.size() == 1 ? 0 : i / (count / rows)];
          }
          Bytes bytes(count * sizeof(float));
          std::memcpy(bytes.data(), values.data(), bytes.size());
          return bytes;
        }};
  }

  void put(const std::string& from, const std::string& to) {
    LazyTensor tensor = load(from);
    tensor.name = to;
    out_.push_back(std::move(tensor));
  }

  void put_norm(const std::string& from, const std::string& to) {
    put(from + "/gamma", to + ".weight");
    put(from + "/beta", to + ".bias");
  }

  void put_linear(const std::string& from, const std::string& to) {
    put(from + "/weight", to + ".weight");
    put(from + "/bias", to + ".bias");
  }

  // Linear layers stacked on the first axis.
  void put_stacked(
      const std::string& from,
      const std::string& to,
      const std::vector<std::string>& names) {
    for (const char* kind : {"weight", "bias"}) {
      LazyTensor stacked = load(from + "/" + kind);
      auto count = static_cast<int64_t>(names.size());
      if (stacked.shape.empty() || stacked.shape[0] % count != 0) {
        throw Error(
            ErrorKind::corrupt_data,
            "the variable '" + stacked.name + "' of shape " +
                checkpoint::to_string(stacked.shape) + " does not hold " +
                std::to_string(count) + " layers");
      }
      int64_t size = stacked.shape[0] / count;
      for (int64_t i = 0; i < count; ++i) {
        const std::string& name = names[static_cast<size_t>(i)];
        LazyTensor part = checkpoint::rows(stacked, i * size, (i + 1) * size);
        part.name = to + "." + name + "." + kind;
        if (name == "key" && kind == std::string("bias")) {
          // Whisper's keys have no bias; the stack filled it with zeros.
          for (std::byte byte : part.load()) {
            if (byte != std::byte{0}) {
              throw Error(
                  ErrorKind::corrupt_data,
                  "the bias of the keys in '" + stacked.name + "' is not 0");
            }
          }
          continue;
        }
        out_.push_back(std::move(part));
      }
    }
  }

  std::shared_ptr<const CTranslate2File> file_;
  std::map<std::string, const TensorInfo*> by_name_;
  std::vector<LazyTensor> out_;
};

std::vector<LazyTensor> Mapper::map() {
  for (const std::string side : {"encoder", "decoder"}) {
    int64_t layers = layer_count(*file_, side);
    for (int64_t i = 0; i < layers; ++i) {
      std::string from = side + "/layer_" + std::to_string(i);
      std::string to = side + ".blocks." + std::to_string(i);
      put_norm(from + "/self_attention/layer_norm", to + ".attn_ln");
      put_stacked(
          from + "/self_attention/linear_0",
          to + ".attn",
          {"query", "key", "value"});
      put_linear(from + "/self_attention/linear_1", to + ".attn.out");
      if (side == "decoder") {
        put_norm(from + "/attention/layer_norm", to + ".cross_attn_ln");
        put_linear(from + "/attention/linear_0", to + ".cross_attn.query");
        put_stacked(
            from + "/attention/linear_1", to + ".cross_attn", {"key", "value"});
        put_linear(from + "/attention/linear_2", to + ".cross_attn.out");
      }
      put_norm(from + "/ffn/layer_norm", to + ".mlp_ln");
      put_linear(from + "/ffn/linear_0", to + ".mlp1");
      put_linear(from + "/ffn/linear_1", to + ".mlp2");
    }
  }
  put_norm("encoder/layer_norm", "encoder.ln_post");
  put_norm("decoder/layer_norm", "decoder.ln");
  for (const std::string conv : {"conv1", "conv2"}) {
    LazyTensor weight = load("encoder/" + conv + "/weight");
    if (weight.shape.size() != 3) {
      throw Error(
          ErrorKind::corrupt_data, "'" + weight.name + "' has no 3 axes");
    }
    weight = checkpoint::transpose(std::move(weight), {0, 2, 1});
    weight.name = "encoder." + conv + ".weight";
    out_.push_back(std::move(weight));
    put("encoder/" + conv + "/bias", "encoder." + conv + ".bias");
  }
  // The encoder's positions are sinusoids, which the model computes.
  put("decoder/position_encodings/encodings", "decoder.positional_embedding");
  put("decoder/embeddings/weight", "decoder.token_embedding.weight");
  return std::move(out_);
}

json token_ids(const json& tokenizer) {
  json ids = json::object();
  if (tokenizer.contains("added_tokens")) {
    for (const json& token : tokenizer.at("added_tokens")) {
      ids[token.at("content").get<std::string>()] = token.at("id");
    }
  }
  return ids;
}

} // namespace

std::vector<LazyTensor> whisper_from_ctranslate2(
    const std::shared_ptr<const CTranslate2File>& file) {
  if (file->spec() != "WhisperSpec") {
    throw Error(
        ErrorKind::unsupported,
        "the CTranslate2 model is a '" + file->spec() +
            "', only WhisperSpec is known here");
  }
  return Mapper(file).map();
}

json whisper_dims(const CTranslate2File& file) {
  const auto& embeddings = variable(file, "decoder/embeddings/weight", 2).shape;
  int64_t text_context =
      variable(file, "decoder/position_encodings/encodings", 2).shape[0];
  int64_t audio_context =
      variable(file, "encoder/position_encodings/encodings", 2).shape[0];
  return {
      {"n_mels", variable(file, "encoder/conv1/weight", 3).shape[1]},
      {"n_audio_ctx", audio_context},
      {"n_audio_state", embeddings[1]},
      {"n_audio_head", scalar(file, "encoder/num_heads")},
      {"n_audio_layer", layer_count(file, "encoder")},
      {"n_vocab", embeddings[0]},
      {"n_text_ctx", text_context},
      {"n_text_state", embeddings[1]},
      {"n_text_head", scalar(file, "decoder/num_heads")},
      {"n_text_layer", layer_count(file, "decoder")}};
}

std::map<std::string, json> whisper_side_files(
    const json& dims,
    const json& config,
    const json& tokenizer) try {
  json ids = token_ids(tokenizer);
  const json& end = ids.at("<|endoftext|>");
  bool multilingual = dims.at("n_vocab") >= 51865;
  json generation = {
      {"alignment_heads", config.at("alignment_heads")},
      {"begin_suppress_tokens", config.at("suppress_ids_begin")},
      {"suppress_tokens", config.at("suppress_ids")},
      {"bos_token_id", end},
      {"eos_token_id", end},
      {"pad_token_id", end},
      {"decoder_start_token_id", ids.at("<|startoftranscript|>")},
      {"is_multilingual", multilingual},
      {"max_initial_timestamp_index", 50},
      {"max_length", dims.at("n_text_ctx")},
      {"no_timestamps_token_id", ids.at("<|notimestamps|>")},
      {"prev_sot_token_id", ids.at("<|startofprev|>")},
      {"return_timestamps", false}};
  if (multilingual) {
    json languages = json::object();
    for (const auto& [token, id] : ids.items()) {
      for (const json& language : config.at("lang_ids")) {
        if (language == id) {
          languages[token] = id;
        }
      }
    }
    generation["lang_to_id"] = languages;
    generation["task_to_id"] = {
        {"transcribe", ids.at("<|transcribe|>")},
        {"translate", ids.at("<|translate|>")}};
  }
  return {
      {"generation_config.json", generation},
      {"preprocessor_config.json",
       {{"chunk_length", 30},
        {"feature_extractor_type", "WhisperFeatureExtractor"},
        {"feature_size", dims.at("n_mels")},
        {"hop_length", 160},
        {"n_fft", 400},
        {"n_samples", 480000},
        {"nb_max_frames", 3000},
        {"padding_side", "right"},
        {"padding_value", 0.0},
        {"processor_class", "WhisperProcessor"},
        {"return_attention_mask", false},
        {"sampling_rate", 16000}}},
      {"tokenizer_config.json",
       {{"tokenizer_class", "WhisperTokenizer"},
        {"processor_class", "WhisperProcessor"},
        {"model_max_length", 1024},
        {"errors", "replace"},
        {"add_prefix_space", false},
        {"bos_token", "<|endoftext|>"},
        {"eos_token", "<|endoftext|>"},
        {"unk_token", "<|endoftext|>"},
        {"pad_token", "<|endoftext|>"}}}};
} catch (const json::exception& error) {
  throw Error(
      ErrorKind::corrupt_data,
      std::string("config.json or tokenizer.json is no Whisper's: ") +
          error.what());
}

} // namespace mlx_audio::convert
