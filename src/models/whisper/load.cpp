// The public model: everything of transcription.h that is Whisper's.
#include <algorithm>
#include <filesystem>
#include <fstream>

#include <nlohmann/json.hpp>

#include "checkpoint/json.h"
#include "mlx_audio/error.h"
#include "models/whisper/languages.h"
#include "models/whisper/live.h"
#include "models/whisper/load.h"
#include "models/whisper/transcriber.h"

namespace mlx_audio::whisper {

namespace {

constexpr int multilingual_vocabulary = 51865; // and more

class Model : public TranscriptionModel {
 public:
  explicit Model(std::shared_ptr<Whisper> whisper)
      : whisper_(std::move(whisper)) {}

  std::unique_ptr<TranscriptionStream> transcribe(
      const TranscriptionRequest& request) override {
    if (!request.options.vad_options.model.empty() && !whisper_->vad) {
      whisper_->vad = std::make_shared<silero_vad::SileroVad>(
          request.options.vad_options.model);
    }
    return std::make_unique<Transcriber>(whisper_, request);
  }

  std::unique_ptr<LiveTranscription> listen(
      const LiveOptions& options) override {
    return make_live(whisper_, options);
  }

  std::string type() const override {
    return "whisper";
  }

  std::vector<std::string> languages() const override {
    if (!whisper_->tokenizer.multilingual()) {
      return {"en"};
    }
    std::vector<std::string> codes;
    auto count = static_cast<size_t>(whisper_->tokenizer.num_languages());
    for (const auto& language : whisper::languages().first(count)) {
      codes.emplace_back(language.code);
    }
    return codes;
  }

 private:
  std::shared_ptr<Whisper> whisper_;
};

mx::Dtype activations(const std::string& name) {
  if (name == "float16") {
    return mx::float16;
  }
  if (name == "bfloat16") {
    return kernels::packed_available() ? mx::float32 : mx::bfloat16;
  }
  if (name.empty() || name == "float32" || name == "int8") {
    bool cpu = mx::default_device() == mx::Device(mx::Device::cpu);
    return name.empty() && !cpu ? mx::float16 : mx::float32;
  }
  throw Error(
      ErrorKind::invalid_argument,
      "unknown dtype '" + name + "'",
      "use float32, float16, bfloat16 or int8");
}

// How products run on CPUs that have more than f32.
PackedMode packed_mode(const std::string& name) {
  if (name == "float32") {
    return PackedMode::f32;
  }
  return name == "bfloat16" ? PackedMode::bf16 : PackedMode::int8;
}

} // namespace

bool matches(const nlohmann::json& config) {
  return checkpoint::is_model_type(config, "whisper") ||
      (!config.contains("model_type") && config.contains("n_audio_state"));
}

std::vector<std::string> features(const nlohmann::json& config) {
  std::vector<std::string> features = {
      "word_timestamps", "realtime", "prompt", "keywords", "vad"};
  int vocabulary = config.value("n_vocab", config.value("vocab_size", 0));
  if (vocabulary >= multilingual_vocabulary) {
    features.emplace_back("languages");
    features.emplace_back("translation");
  }
  return features;
}

std::unique_ptr<TranscriptionModel> load_whisper(
    const std::string& folder,
    const TranscriptionModelOptions& options) {
  if (options.decoder_bits != 0 && options.decoder_bits != 4 &&
      options.decoder_bits != 8) {
    throw Error(
        ErrorKind::invalid_argument,
        "decoder_bits is " + std::to_string(options.decoder_bits) +
            ", not 0, 4 or 8");
  }
  Precision precision{
      .activations = activations(options.dtype),
      .decoder_bits = options.decoder_bits,
      .packed = packed_mode(options.dtype)};
  auto config = load_config(folder);
  auto tokenizer = load_tokenizer(folder, config);
  auto whisper = std::make_shared<Whisper>(Whisper{
      .model = WhisperModel(config, load_checkpoint(folder), precision),
      .tokenizer = std::move(tokenizer),
      .log_mel = LogMel(config.n_mels),
      .vad = nullptr});
  if (!options.vad_model.empty()) {
    whisper->vad = std::make_shared<silero_vad::SileroVad>(options.vad_model);
  }
  return std::make_unique<Model>(std::move(whisper));
}

} // namespace mlx_audio::whisper
