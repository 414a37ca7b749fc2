// mlx_audio.tts.generate: the flags of Python's mlx-audio 0.6.2, so that
// scripts move over. Unlike it, this exits with an error's code.
#include <iostream>
#include <iterator>
#include <memory>
#include <vector>

#include "cli/commands.h"
#include "cli/tts.h"
#include "engine/reference_text.h"
#include "mlx_audio/error.h"

namespace mlx_audio::cli {

namespace {

struct Flags {
  TtsJob job;
  std::string folder = ".";
  std::string format = "wav";
  bool join = false;
  bool save = false;
  bool verbose = false;
  std::vector<std::string> unused; // values of flags of other models
  bool unused_flag = false;
  SpeechRequest language_model; // what only such models heed
  std::string ref_audio;
  std::string ref_text;
};

constexpr const char* kOther = "Other models";
constexpr const char* kLanguageModels = "Language models";

void say_unused(const CLI::App& app, const char* group) {
  for (const auto* option : app.get_options()) {
    if (option->count() > 0 && option->get_group() == group) {
      std::cerr << "mlx_audio.tts.generate: " << option->get_name()
                << " has no effect on this model\n";
    }
  }
}

void heed_language_model(Flags& flags, SpeechRequest& request) {
  request.instruct = flags.language_model.instruct;
  request.sampling = flags.language_model.sampling;
  if (!flags.ref_audio.empty()) {
    // As in the reference, a missing text is what Whisper hears.
    request.reference = {
        read_audio(flags.ref_audio, {.mono = true, .max_seconds = 600}),
        flags.ref_text.empty() ? engine::kAutoText : flags.ref_text};
  }
}

void run(Flags& flags, const CLI::App& app) {
  TtsJob& job = flags.job;
  if (job.request.text.empty()) {
    job.request.text.assign(std::istreambuf_iterator<char>(std::cin), {});
  }
  say_unused(app, kOther);
  job.adapt = [&](const SpeechModelInfo& info, SpeechRequest& request) {
    if (info.architecture == "kokoro") {
      say_unused(app, kLanguageModels);
    } else {
      heed_language_model(flags, request);
    }
  };
  job.encoding.format = parse_audio_format(flags.format);
  bool write = !job.stream || flags.save;
  job.play = job.play || job.stream; // --stream plays, as in the reference
  job.request.low_latency = job.stream;
  if (write && (flags.join || job.stream)) {
    job.output = flags.folder + "/" + job.prefix + "." +
        file_extension(job.encoding.format);
  } else if (write) {
    job.output = flags.folder;
    job.split = true;
  }
  job.quiet = !flags.verbose;
  run_tts(job);
}

} // namespace

void add_reference_tts(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  TtsJob& job = flags->job;
  app.description("Speak a text, with the flags of Python's mlx-audio");
  app.add_option("--model", job.model, "Folder, short name or repository")
      ->required();
  app.add_option("--text", job.request.text, "Default: standard input");
  app.add_option("--voice", job.request.voice, "Voice or mix of voices");
  app.add_option("--speed", job.request.speed, "Rate, 0.25 to 4");
  app.add_option("--lang_code", job.request.language, "Language");
  app.add_option("--output_path", flags->folder, "Folder for the files");
  app.add_option("--file_prefix", job.prefix, "Start of the files' names");
  app.add_option("--audio_format", flags->format, "wav flac mp3 opus aac pcm");
  app.add_flag("--join_audio", flags->join, "One file");
  app.add_flag("--play", job.play, "Play it");
  app.add_flag("--stream", job.stream, "Play while it is made");
  app.add_flag("--save", flags->save, "With --stream: write a file too");
  app.add_flag("--verbose", flags->verbose, "Show progress");
  for (const char* name :
       {"--prompt",
        "--exaggeration",
        "--cfg_scale",
        "--ddpm_steps",
        "--gen_duration",
        "--duration_multiplier",
        "--steps",
        "--stg_scale",
        "--stg_block",
        "--rescale_scale",
        "--gender",
        "--pitch",
        "--sigma",
        "--streaming_interval"}) {
    app.add_option(name, flags->unused)->group(kOther);
  }
  app.add_flag("--use_zero_spk_emb", flags->unused_flag)->group(kOther);
  auto add = [&](const char* name, auto& value) {
    app.add_option(name, value)->group(kLanguageModels);
  };
  SpeechSampling& sampling = flags->language_model.sampling;
  add("--instruct", flags->language_model.instruct);
  add("--ref_audio", flags->ref_audio);
  add("--ref_text", flags->ref_text);
  add("--stt_model", job.whisper);
  add("--max_tokens", sampling.max_tokens);
  add("--temperature", sampling.temperature);
  add("--top_p", sampling.top_p);
  add("--top_k", sampling.top_k);
  add("--min_p", sampling.min_p);
  add("--repetition_penalty", sampling.repetition_penalty);
  app.callback([flags, &app] { run(*flags, app); });
}

} // namespace mlx_audio::cli
