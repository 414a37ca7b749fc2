// Whisper checkpoints out of other forms than mlx-community's.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "checkpoint/ctranslate2.h"
#include "checkpoint/lazy_tensor.h"

namespace mlx_audio::convert {

/// Tensors with mlx-audio's names and layouts out of CTranslate2's. Weights of
/// the int8 and int16 kinds are dequantized to float32. corrupt_data if a
/// tensor of the model is missing.
std::vector<checkpoint::LazyTensor> whisper_from_ctranslate2(
    const std::shared_ptr<const checkpoint::CTranslate2File>& file);

/// The same out of transformers' names, openai-whisper's (a .pt with "dims" and
/// "model_state_dict") or mlx-audio's own.
std::vector<checkpoint::LazyTensor> whisper_to_mlx(
    std::vector<checkpoint::LazyTensor> tensors);

/// A transformers or openai-whisper config with mlx-audio's sizes added.
/// corrupt_data if one is missing.
nlohmann::json whisper_config(nlohmann::json config);

/// The sizes as MLX config.json has them (n_mels, n_audio_state, ..), read off
/// the variables.
nlohmann::json whisper_dims(const checkpoint::CTranslate2File& file);

/// Side files of a Hugging Face Whisper (generation_config.json and others, by
/// name) out of CTranslate2's config.json and a tokenizer.json.
std::map<std::string, nlohmann::json> whisper_side_files(
    const nlohmann::json& dims,
    const nlohmann::json& config,
    const nlohmann::json& tokenizer);

} // namespace mlx_audio::convert
