#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <memory>

#include "cli/commands.h"
#include "cli/terminal.h"
#include "convert/convert.h"
#include "hub/store.h"
#include "mlx_audio/error.h"

namespace mlx_audio::cli {

namespace {

using convert::ConvertReport;

struct Flags {
  convert::ConvertOptions options;
  convert::QuantizeOptions quantize;
  bool quantized = false;
  int bits = 0;
  int group_size = 0;
  std::string dtype;
  std::string revision;
  double shard_gb = 5;
};

checkpoint::DType dtype_of(const std::string& name) {
  if (name == "float16") {
    return checkpoint::DType::float16;
  }
  return name == "bfloat16" ? checkpoint::DType::bfloat16
                            : checkpoint::DType::float32;
}

double megabytes(uint64_t bytes) {
  return static_cast<double>(bytes) / 1e6;
}

void print_layers(const ConvertReport& report, bool errors) {
  size_t width = 10;
  for (const auto& layer : report.layers) {
    width = std::max(width, std::min<size_t>(layer.name.size(), 70));
  }
  fmt::print(
      "{:<{}}  {:>16}  {:>12}  {:>10}  {:>10}{}\n",
      "layer",
      width,
      "shape",
      "bits",
      "MB before",
      "after",
      errors ? "  rel. error  max error" : "");
  size_t plain = 0;
  uint64_t plain_bytes = 0;
  bool packs = false;
  for (const auto& layer : report.layers) {
    packs = packs || layer.packing;
  }
  for (const auto& layer : report.layers) {
    if (packs && !layer.packing) {
      ++plain;
      plain_bytes += layer.bytes_after;
      continue;
    }
    std::string bits = "-";
    if (layer.packing) {
      bits =
          fmt::format("{}/{}", layer.packing->bits, layer.packing->group_size);
      if (layer.packing->mode != "affine") {
        bits = layer.packing->mode;
      }
    }
    fmt::print(
        "{:<{}}  {:>16}  {:>12}  {:>10.3f}  {:>10.3f}",
        layer.name,
        width,
        checkpoint::to_string(layer.shape),
        bits,
        megabytes(layer.bytes_before),
        megabytes(layer.bytes_after));
    if (errors && layer.packing) {
      fmt::print(
          "  {:>10.4f}  {:>9.4g}", layer.relative_error, layer.max_error);
    }
    fmt::print("\n");
  }
  if (plain > 0) {
    fmt::print(
        "{} other tensors stay as they are: {:.3f} MB\n",
        plain,
        megabytes(plain_bytes));
  }
}

void run(Flags& flags) {
  auto& options = flags.options;
  if (!flags.dtype.empty()) {
    options.dtype = dtype_of(flags.dtype);
  }
  if (flags.bits != 0) {
    flags.quantize.bits = flags.bits;
  }
  if (flags.group_size != 0) {
    flags.quantize.group_size = flags.group_size;
  }
  if (flags.quantized) {
    options.quantize = flags.quantize;
  } else if (
      flags.bits != 0 || flags.group_size != 0 ||
      !flags.quantize.recipe.empty() || flags.quantize.refit) {
    throw Error(
        ErrorKind::invalid_argument,
        "quantization is described but not asked for",
        "add -q");
  }
  options.shard_bytes = static_cast<uint64_t>(flags.shard_gb * 1e9);
  if (!std::filesystem::exists(options.source)) {
    options.source = hub::resolve_model(options.source, flags.revision);
  }
  if (!options.calibration_audio.empty() && !flags.quantize.refit) {
    throw Error(
        ErrorKind::invalid_argument,
        "recordings to calibrate on are given but not asked for",
        "add --calibrate");
  }
  if (flags.quantize.refit) {
    options.calibration_speaker = hub::find_local_model("kokoro");
  }
  Progress progress;
  options.progress = [&](uint64_t done, uint64_t total) {
    progress.show(
        total == 0 ? 1.0
                   : static_cast<double>(done) / static_cast<double>(total),
        fmt::format("{:.1f} of {:.1f} MB", megabytes(done), megabytes(total)));
  };
  ConvertReport report = convert::convert(options);
  progress.clear();
  if (options.dry_run || options.quantize) {
    print_layers(report, !options.dry_run);
  }
  fmt::print(
      "{} ({}): {:.1f} M parameters, {:.1f} MB -> {:.1f} MB, {:.2f} bits per "
      "weight{}\n",
      report.model_type,
      report.format,
      static_cast<double>(report.parameters) / 1e6,
      megabytes(report.bytes_before),
      megabytes(report.bytes_after),
      report.bits_per_weight(),
      options.dry_run ? "; nothing was written" : "");
  if (!report.calibration.empty()) {
    fmt::print("calibrated on {}\n", report.calibration);
  }
  if (!options.dry_run) {
    fmt::print("{}\n", options.output);
  }
}

} // namespace

void add_convert_command(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  auto& options = flags->options;
  CLI::App* command =
      app.add_subcommand("convert", "Convert or quantize a checkpoint");
  command
      ->add_option(
          "--hf-path,--hf_path,--model",
          options.source,
          "Folder, file (.safetensors .pth .pt .bin .npz .onnx) or Hugging Face "
          "id to read")
      ->required();
  command
      ->add_option(
          "--mlx-path,--mlx_path",
          options.output,
          "Folder to make; it must not exist or be empty")
      ->default_val("mlx_model");
  command->add_flag("-q,--quantize", flags->quantized, "Quantize");
  command->add_option(
      "--q-bits,--q_bits",
      flags->bits,
      "Bits a weight: 2, 3, 4, 5, 6 or 8 (default 4, mxfp8: 8)");
  command->add_option(
      "--q-group-size,--q_group_size",
      flags->group_size,
      "Weights that share a scale: 32, 64 or 128 (default 64)");
  command
      ->add_option(
          "--q-mode,--q_mode", flags->quantize.mode, "Kind of quantization")
      ->check(CLI::IsMember({"affine", "mxfp4", "nvfp4", "mxfp8"}))
      ->default_val("affine");
  command
      ->add_option(
          "--quant-predicate,--quant_predicate",
          flags->quantize.recipe,
          "Recipe of mixed bits")
      ->check(
          CLI::IsMember({"mixed_2_6", "mixed_3_4", "mixed_3_6", "mixed_4_6"}));
  command->add_flag(
      "--calibrate",
      flags->quantize.refit,
      "Fit codes, scales and biases by least squares: slower, better at few "
      "bits (affine). Kokoro says built-in sentences for it, and Whisper hears "
      "them if `kokoro` is on this machine; other models fit weights alone");
  command->add_option(
      "--calibration-audio",
      options.calibration_audio,
      "Speech for Whisper to be calibrated on, instead");
  command->add_option("--dtype", flags->dtype, "Type of the float tensors")
      ->check(CLI::IsMember({"float16", "bfloat16", "float32"}));
  command->add_flag(
      "-d,--dequantize", options.dequantize, "Turn packed layers into floats");
  command->add_option(
      "--revision", flags->revision, "Branch, tag or commit on the Hub");
  command
      ->add_option(
          "--shard-gb", flags->shard_gb, "Largest weights file in 10^9 bytes")
      ->check(CLI::Range(0.001, 1000.0))
      ->default_val(5);
  command->add_flag(
      "--dry-run,--dry_run",
      options.dry_run,
      "Print the plan of each layer and write nothing");
  command->callback([flags] { run(*flags); });
}

} // namespace mlx_audio::cli
