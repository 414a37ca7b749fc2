#include "cli/tts.h"

#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>

#include <unistd.h>

#include "cli/commands.h"
#include "cli/models.h"
#include "mlx_audio/error.h"

namespace mlx_audio::cli {

namespace {

namespace fs = std::filesystem;

constexpr size_t max_text = size_t{64} << 20; // bytes

std::string read_all(std::istream& in, const std::string& name) {
  std::string text;
  char block[65536];
  while (in.read(block, sizeof(block)) || in.gcount() > 0) {
    text.append(block, static_cast<size_t>(in.gcount()));
    if (text.size() > max_text) {
      throw Error(
          ErrorKind::too_large,
          name + " is larger than 64 MiB",
          "split it into several texts");
    }
  }
  return text;
}

std::string read_text_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file || fs::is_directory(path)) {
    throw Error(
        ErrorKind::not_found, "cannot read the text file '" + path + "'");
  }
  return read_all(file, "'" + path + "'");
}

struct Flags {
  TtsJob job;
  std::string text;
  std::string file;
  std::string format;
  std::string sample_format;
  uint64_t seed = 0;
  std::string ref_audio;
  std::string ref_text;
  bool x_vector_only = false;
  bool list_voices = false;
  bool phonemes_only = false;
};

void choose_output(Flags& flags) {
  TtsJob& job = flags.job;
  if (job.output.empty() && job.split) {
    job.output = ".";
  } else if (job.output.empty() && !job.play) {
    job.output = "speech." +
        std::string(file_extension(
            flags.format.empty() ? AudioFormat::wav
                                 : parse_audio_format(flags.format)));
  }
  if (!flags.format.empty()) {
    job.encoding.format = parse_audio_format(flags.format);
  } else if (auto guess = audio_format_from_path(job.output)) {
    job.encoding.format = *guess;
  }
  if (!flags.sample_format.empty()) {
    job.encoding.sample_format = parse_sample_format(flags.sample_format);
  }
  if (!job.split && job.output != "-" && fs::is_directory(job.output)) {
    throw Error(
        ErrorKind::invalid_argument,
        "'" + job.output + "' is a folder",
        "name a file, or add --split for one file a chunk");
  }
  if (job.output == "-" && (job.json || job.timestamps == "-")) {
    throw Error(
        ErrorKind::invalid_argument,
        "standard output cannot take audio and text at once",
        "write the audio or the text to a file");
  }
}

void read_reference(Flags& flags) {
  if (!flags.ref_audio.empty()) {
    flags.job.request.reference = {
        read_audio(flags.ref_audio, {.mono = true, .max_seconds = 600}),
        flags.ref_text,
        flags.x_vector_only};
  } else if (!flags.ref_text.empty() || flags.x_vector_only) {
    throw Error(
        ErrorKind::invalid_argument,
        std::string(flags.x_vector_only ? "--x-vector-only" : "--ref-text") +
            " without --ref-audio",
        "give the recording that it belongs to");
  }
}

void run(Flags& flags, bool seeded) {
  TtsJob& job = flags.job;
  if (flags.list_voices) {
    print_voices(*load_speech_model(job.model, job.load));
    return;
  }
  if (!flags.file.empty()) {
    if (!flags.text.empty()) {
      throw Error(
          ErrorKind::invalid_argument,
          "both a text and --file '" + flags.file + "' are given",
          "give one of them");
    }
    job.request.text = flags.file == "-" ? read_all(std::cin, "standard input")
                                         : read_text_file(flags.file);
  } else if (flags.text.empty() || flags.text == "-") {
    if (isatty(STDIN_FILENO) == 1) {
      std::cerr << "Reading text until Ctrl-D.\n";
    }
    job.request.text = read_all(std::cin, "standard input");
  } else {
    job.request.text = flags.text;
  }
  if (seeded) {
    job.request.seed = flags.seed;
  }
  read_reference(flags);
  if (flags.phonemes_only) {
    std::cout << load_speech_model(job.model, job.load)->phonemes(job.request);
    return;
  }
  choose_output(flags);
  job.request.low_latency = job.stream || job.play;
  run_tts(job);
  if (!job.json && !job.output.empty() && job.output != "-" &&
      isatty(STDERR_FILENO) == 1) {
    std::cerr << "Wrote " << job.output << '\n';
  }
}

// Options of models that follow instructions, imitate voices, sample tokens.
void add_language_model_options(CLI::App& tts, Flags& flags) {
  SpeechRequest& request = flags.job.request;
  SpeechSampling& sampling = request.sampling;
  const char* group = "Qwen3-TTS";
  auto add = [&](const char* name, auto& value, const char* help) {
    tts.add_option(name, value, help)->group(group);
  };
  add("--instruct",
      request.instruct,
      "Emotion and style, or the description of a voice");
  add("--ref-audio", flags.ref_audio, "Recording of a voice to imitate");
  add("--ref-text", flags.ref_text, "What is said in it; auto: ask Whisper");
  add("--whisper", flags.job.whisper, "The model that hears it");
  add("--check-ref-text",
      flags.job.check_ref_text,
      "Warn if it hears other words (true), where it is at hand");
  tts.add_flag(
         "--x-vector-only",
         flags.x_vector_only,
         "Imitate the timbre only; needs no text")
      ->group(group);
  add("--temperature", sampling.temperature, "0: always the likeliest code");
  add("--top-k", sampling.top_k, "Choose among the k likeliest; 0: all");
  add("--top-p", sampling.top_p, "Choose among the likeliest up to this sum");
  add("--min-p", sampling.min_p, "Drop what is below this times the best");
  add("--repetition-penalty", sampling.repetition_penalty, "1: none");
  add("--max-tokens", sampling.max_tokens, "Frames of 80 ms at most");
  add("--min-new-tokens", sampling.min_new_tokens, "Frames at least");
  add("--subtalker-temperature",
      sampling.subtalker_temperature,
      "For a frame's codes after the first");
  add("--subtalker-top-k", sampling.subtalker_top_k, "The same");
  add("--subtalker-top-p", sampling.subtalker_top_p, "The same");
  add("--non-streaming-mode",
      request.non_streaming_mode,
      "true: read the whole text first; false: a token with each frame");
}

} // namespace

void add_tts_command(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  TtsJob& job = flags->job;
  CLI::App* tts = app.add_subcommand("tts", "Speak a text");
  tts->add_option(
      "text", flags->text, "What to say; '-' or nothing: standard input");
  tts->add_option("-f,--file", flags->file, "Read the text from a file");
  tts->add_option("-m,--model", job.model, "Folder, short name or repository")
      ->capture_default_str();
  tts->add_option(
      "-v,--voice",
      job.request.voice,
      "A voice, or a mix: af_heart:0.7+bf_emma:0.3");
  tts->add_option(
      "-l,--language",
      job.request.language,
      "en-us en-gb es fr hi it pt-br ja zh; default: the voice's");
  tts->add_option("-s,--speed", job.request.speed, "Rate, 0.25 to 4")
      ->capture_default_str();
  auto* seed = tts->add_option("--seed", flags->seed, "Same seed, same audio");
  tts->add_option(
      "-o,--output",
      job.output,
      "File, '-' for standard output, or folder with --split "
      "(default speech.wav)");
  tts->add_option(
      "--format", flags->format, "wav flac mp3 opus aac pcm; default: by name");
  tts->add_option(
      "--sample-format", flags->sample_format, "s16 s24 f32 (wav, flac, pcm)");
  tts->add_flag("--split", job.split, "One file a chunk of text");
  tts->add_option("--prefix", job.prefix, "Names of those files")
      ->capture_default_str();
  tts->add_flag(
      "--stream", job.stream, "Short first chunk, each written at once");
  tts->add_flag("--play", job.play, "Play it");
  tts->add_option(
      "--timestamps", job.timestamps, "Word times to FILE.json or FILE.srt");
  tts->add_flag("--json", job.json, "End with one line of JSON");
  tts->add_flag("--quiet", job.quiet, "No progress");
  tts->add_option(
      "--dtype",
      job.load.dtype,
      "float32 bfloat16 float16; default: as stored");
  tts->add_option(
      "--revision", job.load.revision, "Branch, tag or commit of a repository");
  tts->add_flag("--list-voices", flags->list_voices, "Show voices and stop");
  tts->add_flag(
      "--phonemes-only", flags->phonemes_only, "Print phonemes and stop");
  tts->add_flag(
      "--phonemes", job.request.phonemes, "The text is phonemes already");
  tts->add_option(
      "--dump",
      job.dump,
      "Write the network's intermediates to this folder (for developers)");
  add_language_model_options(*tts, *flags);
  tts->footer(
      "Examples:\n"
      "  mlx-audio tts \"Hello there.\" -o hello.wav\n"
      "  mlx-audio tts -f book.txt -v bf_emma --format mp3 -o book.mp3\n"
      "  echo \"Hola, mundo.\" | mlx-audio tts -l es -o - > hola.wav\n"
      "  mlx-audio tts \"One. Two.\" --timestamps words.srt --json\n"
      "  mlx-audio tts \"A [Kokoro](/kˈOkəɹO/) voice.\" --play");
  tts->callback([flags, seed] { run(*flags, seed->count() > 0); });
}

} // namespace mlx_audio::cli
