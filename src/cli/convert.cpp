#include <cstdio>
#include <iostream>
#include <memory>

#include "cli/commands.h"
#include "convert/convert.h"
#include "mlx_audio/error.h"

namespace mlx_audio::cli {

namespace {

checkpoint::DType dtype_of(const std::string& name) {
  if (name == "float16") {
    return checkpoint::DType::float16;
  }
  return name == "bfloat16" ? checkpoint::DType::bfloat16
                            : checkpoint::DType::float32;
}

} // namespace

void add_convert_command(CLI::App& app) {
  struct Flags {
    convert::ConvertOptions options;
    std::string dtype;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command =
      app.add_subcommand("convert", "Convert or quantize a checkpoint");
  command
      ->add_option(
          "--hf-path,--hf_path",
          flags->options.source,
          "Folder or file to read")
      ->required();
  command
      ->add_option(
          "--mlx-path,--mlx_path", flags->options.output, "Folder to make")
      ->default_val("mlx_model");
  command->add_option("--dtype", flags->dtype, "Type of the float tensors")
      ->check(CLI::IsMember({"float16", "bfloat16", "float32"}));
  command->callback([flags] {
    if (!flags->dtype.empty()) {
      flags->options.dtype = dtype_of(flags->dtype);
    }
    convert::convert(flags->options);
  });
}

} // namespace mlx_audio::cli
