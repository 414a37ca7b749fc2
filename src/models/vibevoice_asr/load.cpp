// The public model: everything of transcription.h that is VibeVoice-ASR's.
#include "models/vibevoice_asr/load.h"

#include <nlohmann/json.hpp>

#include "checkpoint/json.h"
#include "kernels/cpu_op.h"
#include "mlx_audio/error.h"
#include "models/vibevoice_asr/streams.h"
#include "nn/dtype.h"

namespace mlx_audio::vibevoice_asr {

namespace {

class PublicModel : public TranscriptionModel {
 public:
  explicit PublicModel(std::shared_ptr<const Model> model)
      : model_(std::move(model)) {}

  std::unique_ptr<TranscriptionStream> transcribe(
      const TranscriptionRequest& request) override {
    return make_stream(model_, request);
  }

  std::unique_ptr<LiveTranscription> listen(
      const LiveOptions& /* options */) override {
    throw Error(
        ErrorKind::unsupported,
        "VibeVoice-ASR cannot listen live",
        "give it a recording, or use a Whisper model");
  }

  std::string type() const override {
    return "vibevoice_asr";
  }

  std::vector<std::string> languages() const override {
    return {};
  }

 private:
  std::shared_ptr<const Model> model_;
};

bool is_streaming(const nlohmann::json& config) {
  if (config.contains("chunk_frames")) {
    return true;
  }
  auto names = config.find("architectures");
  return names != config.end() && names->is_array() && !names->empty() &&
      names->front().is_string() &&
      names->front().get<std::string>().find("Streaming") != std::string::npos;
}

} // namespace

bool matches(const nlohmann::json& config) {
  return checkpoint::is_model_type(config, "vibevoice_asr") ||
      (checkpoint::is_model_type(config, "vibevoice") &&
       !config.contains("diffusion_head_config"));
}

std::vector<std::string> features(const nlohmann::json& config) {
  std::vector<std::string> features = {"prompt", "keywords"};
  if (!is_streaming(config)) {
    features.emplace_back("speakers");
  }
  return features;
}

std::unique_ptr<TranscriptionModel> load_vibevoice_asr(
    const std::string& folder,
    const TranscriptionModelOptions& options) {
  if (options.decoder_bits != 0) {
    throw Error(
        ErrorKind::unsupported,
        "VibeVoice-ASR is not quantized at load (decoder_bits " +
            std::to_string(options.decoder_bits) + ")",
        "write a quantized checkpoint with 'mlx-audio convert -q'");
  }
  kernels::keep_freed_memory();
  auto network = Network::load(folder, nn::parse_dtype(options.dtype));
  TextIds ids(folder, network->config);
  return std::make_unique<PublicModel>(
      std::make_shared<const Model>(Model{std::move(network), std::move(ids)}));
}

} // namespace mlx_audio::vibevoice_asr
