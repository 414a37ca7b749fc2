#include "convert/model_card.h"

#include <filesystem>

#include <fmt/format.h>

namespace mlx_audio::convert {

std::string model_card(
    const Import& import,
    const ConvertOptions& options,
    const ConvertReport& report) {
  std::string name =
      std::filesystem::path(options.output).lexically_normal().filename();
  bool hears = import.model_type == "whisper" ||
      import.model_type.find("asr") != std::string::npos;
  bool treats = import.model_type.rfind("mossformer", 0) == 0 ||
      import.model_type.rfind("sam_audio", 0) == 0;
  const char* task = treats ? "audio-to-audio"
      : hears               ? "automatic-speech-recognition"
                            : "text-to-speech";
  const char* verb = treats ? "enhance" : hears ? "transcribe" : "speak";
  std::string card = "---\n";
  if (!import.license.empty()) {
    card += "license: " + import.license + "\n";
  }
  card += fmt::format(
      "library_name: mlx-audio\npipeline_tag: {}\ntags:\n- mlx\n- {}\n",
      task,
      import.model_type);
  if (options.quantize) {
    card += fmt::format("- {}-bit\n", packing_of(*options.quantize).bits);
  }
  card += fmt::format(
      "---\n\n# {}\n\nMade by `mlx-audio convert` out of a checkpoint in the "
      "{} format.\n\n| | |\n| --- | --- |\n| architecture | {} |\n"
      "| parameters | {:.1f} M |\n| weights | {:.1f} MB, {:.2f} bits each |\n",
      name,
      import.format,
      import.model_type,
      static_cast<double>(report.parameters) / 1e6,
      static_cast<double>(report.bytes_after) / 1e6,
      report.bits_per_weight());
  if (options.quantize) {
    Packing packing = packing_of(*options.quantize);
    card += fmt::format(
        "| quantization | {}, groups of {}{} |\n",
        options.quantize->recipe.empty()
            ? fmt::format("{} {}-bit", packing.mode, packing.bits)
            : options.quantize->recipe,
        packing.group_size,
        !options.quantize->refit ? ""
            : report.calibration.empty()
            ? ", refit by least squares"
            : ", calibrated on " + report.calibration);
  }
  card += fmt::format("\nUse it with `mlx-audio {} --model {}`.\n", verb, name);
  return card;
}

} // namespace mlx_audio::convert
