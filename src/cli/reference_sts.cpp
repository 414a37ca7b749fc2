// mlx_audio.sts.generate: the flags of Python's mlx-audio 0.6.2, so that
// scripts move over. Unlike it, this exits with an error's code.
#include <iostream>
#include <memory>

#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/enhance.h"
#include "mlx_audio/error.h"

namespace mlx_audio::cli {

namespace {

struct Flags {
  EnhanceJob job;
  std::string gen_kwargs;
  std::vector<std::string> unused; // values of flags of other models
  bool unused_flag = false;
};

// {"chunked": true} is what this model's enhance() takes there.
void apply_kwargs(Flags& flags) {
  if (flags.gen_kwargs.empty()) {
    return;
  }
  auto json = nlohmann::json::parse(flags.gen_kwargs, nullptr, false);
  if (!json.is_object()) {
    throw Error(
        ErrorKind::invalid_argument,
        "--gen-kwargs '" + flags.gen_kwargs + "' is no JSON object");
  }
  for (const auto& [key, value] : json.items()) {
    if (key != "chunked" || !value.is_boolean()) {
      throw Error(
          ErrorKind::invalid_argument,
          "--gen-kwargs has '" + key + "', which this model does not take",
          "it takes chunked: true or false");
    }
    flags.job.segments = value.get<bool>() ? "chunked" : "crossfade";
  }
}

void run(Flags& flags, const CLI::App& app) {
  for (const auto* option : app.get_options()) {
    if (option->count() > 0 && option->get_group() == "Other models") {
      std::cerr << "mlx_audio.sts.generate: " << option->get_name()
                << " has no effect on this model\n";
    }
  }
  apply_kwargs(flags);
  run_enhance(flags.job);
}

} // namespace

void add_reference_sts(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  EnhanceJob& job = flags->job;
  app.description("Enhance speech, with the flags of Python's mlx-audio");
  app.add_option("--model", job.model, "Folder, short name or repository")
      ->required();
  app.add_option("--audio", job.files, "Files or folders")->required();
  app.add_option("--output-path", job.output, "File or folder")
      ->default_val(".");
  app.add_option("--sample-rate", job.sample_rate, "Of the result [Hz]");
  app.add_option("--seed", job.options.seed, "Of the dither");
  app.add_option(
      "--chunk-seconds", job.options.window_seconds, "Enhanced at once");
  app.add_option(
      "--overlap-seconds", job.options.overlap_seconds, "Of two windows");
  app.add_option("--gen-kwargs", flags->gen_kwargs, "JSON: chunked");
  app.add_flag("--verbose", job.verbose, "Say how long it took");
  for (const char* name :
       {"--task",
        "--text",
        "--system-prompt",
        "--messages",
        "--segments",
        "--prompt-examples",
        "--instruction",
        "--instruct",
        "--thinking",
        "--natural-instruction",
        "--max-new-tokens",
        "--temperature",
        "--audio-temperature",
        "--top-p",
        "--top-k",
        "--no-repeat-ngram-size",
        "--voice",
        "--ref-audio",
        "--ref-text",
        "--max-talker-steps",
        "--audio-tokenizer-path",
        "--num-steps",
        "--version",
        "--subfolder",
        "--model-kwargs"}) {
    app.add_option(name, flags->unused)->group("Other models");
  }
  app.add_flag("--stream", flags->unused_flag)->group("Other models");
  app.callback([flags, &app] { run(*flags, app); });
}

} // namespace mlx_audio::cli
