// mlx_audio.stt.generate: the flags of Python's mlx-audio 0.6.2, so that
// scripts move over. Unlike it, this exits with an error's code.
#include <iostream>
#include <memory>

#include "cli/commands.h"
#include "cli/stt.h"
#include "mlx_audio/error.h"

namespace mlx_audio::cli {

namespace {

struct Flags {
  SttJob job;
  std::string audio;
  std::string output;
  std::string format = "txt";
  int max_tokens = 0;
  int batch = 0;
  bool verbose = false;
  std::vector<std::string> unused; // values of flags of other models
};

void run(Flags& flags, const CLI::App& app) {
  for (const auto* option : app.get_options()) {
    if (option->count() > 0 && option->get_group() == "Other models") {
      std::cerr << "mlx_audio.stt.generate: " << option->get_name()
                << " has no effect on this model\n";
    }
  }
  SttJob& job = flags.job;
  job.inputs = {flags.audio};
  job.formats = {parse_transcript_format(flags.format)};
  job.options.max_tokens = flags.max_tokens;
  job.lenient = true;
  if (flags.batch > 1) {
    job.options.batch_size = flags.batch;
  }
  // It appends the extension to whatever path was given.
  job.output = flags.output == "-" ? "-" : flags.output + "." + flags.format;
  job.quiet = !flags.verbose;
  run_stt(job);
}

} // namespace

void add_reference_stt(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  SttJob& job = flags->job;
  job.model = "whisper-large-v3-turbo";
  job.options.language = "en";
  app.description("Transcribe speech, with the flags of Python's mlx-audio");
  app.add_option("--model", job.model, "Folder, short name or repository")
      ->capture_default_str();
  app.add_option("--audio", flags->audio, "File to transcribe")->required();
  app.add_option(
         "--output-path,--output_path",
         flags->output,
         "Path without extension, or -")
      ->required();
  app.add_option("--format", flags->format, "Output format")
      ->check(CLI::IsMember({"txt", "srt", "vtt", "json"}))
      ->capture_default_str();
  app.add_flag("--verbose", flags->verbose, "Show progress");
  app.add_option("--max-tokens,--max_tokens", flags->max_tokens, "A window's");
  app.add_option(
      "--max-parallel-segments,--max_parallel_segments",
      flags->batch,
      "Windows decoded at once");
  app.add_option("--language", job.options.language, "Code or name")
      ->capture_default_str();
  app.add_option("--context", job.options.hotwords, "Words to expect");
  app.add_option("--prompt", job.options.initial_prompt, "Text before");
  app.add_flag("--stream", job.live, "Text while it is decoded");
  for (const char* name :
       {"--chunk-duration,--chunk_duration",
        "--frame-threshold,--frame_threshold",
        "--prefill-step-size,--prefill_step_size",
        "--gen-kwargs,--gen_kwargs",
        "--text"}) {
    app.add_option(name, flags->unused)->group("Other models");
  }
  app.callback([flags, &app] { run(*flags, app); });
}

} // namespace mlx_audio::cli
