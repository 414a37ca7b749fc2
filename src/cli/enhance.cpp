#include "cli/enhance.h"

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <memory>

#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/sound.h"
#include "cli/terminal.h"
#include "hub/store.h"
#include "mlx_audio/audio.h"
#include "mlx_audio/error.h"

namespace mlx_audio::cli {

namespace {

namespace fs = std::filesystem;

struct FilePair {
  std::string in;
  std::string out; // "-" is standard output; empty: none
};

bool is_audio(const fs::path& path) {
  static const std::vector<std::string> extensions{
      ".wav",
      ".flac",
      ".mp3",
      ".ogg",
      ".opus",
      ".aac",
      ".m4a",
      ".aiff",
      ".aif",
      ".mp4",
      ".mov",
      ".mkv",
      ".webm",
      ".w64",
      ".caf",
      ".wma"};
  std::string extension = path.extension().string();
  std::transform(
      extension.begin(), extension.end(), extension.begin(), [](char c) {
        return static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
      });
  return std::find(extensions.begin(), extensions.end(), extension) !=
      extensions.end();
}

// The files that the arguments name, folders with their audio files in order.
std::vector<std::string> expand(const std::vector<std::string>& arguments) {
  std::vector<std::string> files;
  for (const auto& argument : arguments) {
    if (argument == "-" || !fs::is_directory(argument)) {
      files.push_back(argument);
      continue;
    }
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(argument)) {
      if (entry.is_regular_file() && is_audio(entry.path()) &&
          entry.path().stem().string().find("_enhanced") == std::string::npos) {
        found.push_back(entry.path().string());
      }
    }
    if (found.empty()) {
      throw Error(ErrorKind::not_found, "no audio files in '" + argument + "'");
    }
    std::sort(found.begin(), found.end());
    files.insert(files.end(), found.begin(), found.end());
  }
  return files;
}

// One input and an output with a known extension: that file. Else the output is
// a folder (the current one, if not given) of <name>_enhanced.<format>.
std::vector<FilePair> plan_jobs(const EnhanceJob& flags) {
  auto files = flags.microphone ? std::vector<std::string>{"microphone"}
                                : expand(flags.files);
  auto extension = flags.format.empty()
      ? std::string("wav")
      : std::string(file_extension(parse_audio_format(flags.format)));
  bool is_folder = fs::is_directory(flags.output);
  std::vector<FilePair> jobs;
  if (flags.play && flags.output.empty()) {
    for (const auto& file : files) {
      jobs.push_back({file, ""});
    }
    return jobs;
  }
  if (files.size() == 1 &&
      (flags.output == "-" ||
       (!is_folder && audio_format_from_path(flags.output)) ||
       (files[0] == "-" && flags.output.empty()))) {
    return {{files[0], flags.output.empty() ? "-" : flags.output}};
  }
  if (flags.output == "-") {
    throw Error(
        ErrorKind::invalid_argument,
        "several files cannot go to standard output");
  }
  if (!is_folder && fs::path(flags.output).has_extension() &&
      audio_format_from_path(flags.output)) {
    throw Error(
        ErrorKind::invalid_argument,
        "several files cannot go to '" + flags.output + "'",
        "give a folder");
  }
  fs::path folder = flags.output.empty() ? "." : flags.output;
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) {
    throw Error(
        ErrorKind::io,
        "cannot make the folder '" + folder.string() + "': " + error.message());
  }
  for (const auto& file : files) {
    auto stem = file == "-" ? "stdin" : fs::path(file).stem().string();
    auto out = (folder / (stem + "_enhanced." + extension)).string();
    for (const auto& job : jobs) {
      if (job.out == out) {
        throw Error(
            ErrorKind::invalid_argument,
            "'" + job.in + "' and '" + file + "' would both become '" + out +
                "'",
            "enhance them into two folders");
      }
    }
    jobs.push_back({file, out});
  }
  return jobs;
}

// "16000:2:s16", each part but the rate optional.
RawPcm parse_raw(const std::string& text) {
  RawPcm raw;
  auto first = text.find(':');
  auto second = first == std::string::npos ? first : text.find(':', first + 1);
  try {
    size_t used = 0;
    auto rate = text.substr(0, first);
    raw.sample_rate = std::stoi(rate, &used);
    if (used != rate.size()) {
      throw std::invalid_argument(rate);
    }
    if (first != std::string::npos) {
      raw.channels = std::stoi(text.substr(first + 1));
    }
  } catch (const std::logic_error&) {
    throw Error(
        ErrorKind::invalid_argument,
        "raw format '" + text + "' is no RATE:CHANNELS:FORMAT",
        "for example 48000:1:f32");
  }
  if (second != std::string::npos) {
    raw.sample_format = parse_sample_format(text.substr(second + 1));
  }
  return raw;
}

// Of silence before what is played live: results come a little late at times.
constexpr double kLead = 0.2; // seconds
// At most read at once.
constexpr double kBlock = 0.7; // seconds

SoundInput
open_input(const EnhanceJob& flags, const std::string& name, int model_rate) {
  if (flags.microphone) {
    return SoundInput(model_rate, flags.device);
  }
  ReadAudioOptions read{.max_seconds = 0};
  if (!flags.raw.empty()) {
    read.raw = parse_raw(flags.raw);
  }
  return SoundInput(name, read, kBlock);
}

AudioEncoding encoding_of(
    const EnhanceJob& flags,
    const std::string& out,
    SampleFormat of_input) {
  AudioEncoding encoding;
  if (!flags.format.empty()) {
    encoding.format = parse_audio_format(flags.format);
  } else if (out != "-") {
    encoding.format = audio_format_from_path(out).value_or(AudioFormat::wav);
  }
  encoding.sample_format = flags.sample_format.empty()
      ? of_input
      : parse_sample_format(flags.sample_format);
  if (encoding.format == AudioFormat::flac &&
      encoding.sample_format == SampleFormat::f32 &&
      flags.sample_format.empty()) {
    encoding.sample_format = SampleFormat::s24;
  }
  return encoding;
}

void enhance_file(
    const Enhancer& enhancer,
    const EnhanceJob& flags,
    const FilePair& job) {
  SoundInput input = open_input(flags, job.in, enhancer.sample_rate());
  auto session =
      enhancer.session(input.sample_rate(), input.channels(), flags.options);
  std::optional<Loudspeaker> loudspeaker;
  if (flags.play) {
    bool arrives = flags.microphone || job.in == "-";
    loudspeaker.emplace(
        session.sample_rate(), session.channels(), arrives ? kLead : 0);
  }
  std::optional<AudioWriter> writer;
  if (!job.out.empty()) {
    writer.emplace(
        job.out == "-" ? stdout_sink() : file_sink(job.out),
        encoding_of(flags, job.out, input.sample_format()),
        session.sample_rate(),
        session.channels());
  }
  const double total = input.seconds();
  const double frames_a_second = input.sample_rate() * input.channels();
  const char* how_to_end = flags.microphone ? ", Ctrl-C ends it" : "";
  Stopwatch stopwatch;
  double seconds = 0;
  {
    Progress progress;
    enhance_stream(
        [&] {
          auto some = input.read();
          seconds += static_cast<double>(some.size()) / frames_a_second;
          progress.show(
              total > 0 ? std::min(1.0, seconds / total) : -1,
              fmt::format("{} {:.0f} s{}", job.in, seconds, how_to_end));
          return some;
        },
        session,
        [&](std::span<const float> samples) {
          if (writer) {
            writer->write(samples);
            writer->flush();
          }
          if (loudspeaker) {
            loudspeaker->write(samples);
          }
        });
  }
  if (writer) {
    writer->finish();
  }
  if (loudspeaker) {
    loudspeaker->drain();
  }
  if (auto warning = input.warning(); !warning.empty()) {
    std::cerr << "mlx-audio: " << job.in << ": " << warning << '\n';
  }
  if (flags.verbose) {
    double spent = stopwatch.seconds();
    fmt::print(
        stderr,
        "{}: {:.2f} s of audio in {:.2f} s (RTF {:.4f}), latency {:.2f} s, "
        "peak {} MB -> {}\n",
        job.in,
        seconds,
        spent,
        spent / std::max(seconds, 1e-9),
        session.latency_seconds(),
        peak_memory_bytes() >> 20,
        job.out.empty() ? "loudspeaker" : job.out);
  }
}

} // namespace

void run_enhance(EnhanceJob flags) {
  if (flags.files.empty() && !flags.microphone) {
    throw Error(
        ErrorKind::invalid_argument,
        "nothing to enhance",
        "name files, folders or -, or add --microphone");
  }
  flags.options.live = flags.options.live || flags.microphone || flags.play;
  flags.options.segments = parse_segments(flags.segments);
  if (flags.dithered) {
    flags.options.dither = 1;
  }
  if (flags.keep_rate) {
    flags.options.sample_rate = 0;
  } else if (flags.sample_rate >= 0) {
    flags.options.sample_rate = flags.sample_rate;
  }
  auto jobs = plan_jobs(flags);
  auto enhancer = Enhancer::load(hub::resolve_model(flags.model), flags.load);
  // A bad file does not keep the others from being done.
  std::optional<Error> failure;
  for (const auto& job : jobs) {
    try {
      if (!flags.dump.empty()) {
        enhancer.dump(read_audio(job.in), flags.dump);
      }
      enhance_file(enhancer, flags, job);
    } catch (const Error& error) {
      if (jobs.size() == 1) {
        throw;
      }
      std::cerr << "mlx-audio: " << job.in << ": " << error.what() << '\n';
      failure = error;
    }
  }
  if (failure) {
    throw *failure;
  }
}

void add_enhance_command(CLI::App& app) {
  auto flags = std::make_shared<EnhanceJob>();
  CLI::App* command = app.add_subcommand(
      "enhance", "Take noise and reverberation out of speech");
  auto& o = flags->options;
  auto* files = command->add_option(
      "files", flags->files, "Files, folders, or - for a stream");
  auto* microphone =
      command
          ->add_flag(
              "--microphone", flags->microphone, "Record until Ctrl-C; live")
          ->excludes(files);
  command
      ->add_option(
          "--device", flags->device, "Number of the microphone [the default]")
      ->needs(microphone);
  command
      ->add_option(
          "-m,--model", flags->model, "Folder, short name or repository")
      ->required();
  command->add_option(
      "-o,--output,--output-path",
      flags->output,
      "File or folder; - is standard output [.]");
  command->add_flag(
      "--play", flags->play, "Play it, live; a file only with --output");
  command->add_option("--format", flags->format, "wav, flac, mp3, opus, ...");
  command->add_option(
      "--sample-format",
      flags->sample_format,
      "s16, s24 or f32 [as the input]");
  command->add_option(
      "--dtype",
      flags->load.dtype,
      "float32, bfloat16 or float16 [as the model]");
  command->add_option(
      "--segments",
      flags->segments,
      "How long audio is cut: crossfade, original, chunked, whole [crossfade]");
  command->add_option(
      "--window-seconds",
      o.window_seconds,
      "Window that is enhanced at once [20; 4 live]");
  command->add_option(
      "--overlap-seconds", o.overlap_seconds, "Overlap of two windows [1]");
  command->add_option(
      "--mix", o.mix, "How much of the original stays, 0..1 [0]");
  command->add_flag(
      "--dither", flags->dithered, "Add upstream's noise to the features");
  command->add_option("--seed", o.seed, "Of the dither [0]");
  command->add_option(
      "--sample-rate", flags->sample_rate, "Of the output [Hz]");
  command->add_flag(
      "--keep-rate", flags->keep_rate, "Give the input's sample rate back");
  command->add_flag(
      "--stream,--live",
      o.live,
      "Give results as input arrives, at the stated latency");
  command->add_option(
      "--hop-seconds", o.hop_seconds, "Live: input between two results [0.5]");
  command->add_option(
      "--lookahead-seconds",
      o.lookahead_seconds,
      "Live: future that a result waits for [0.2]");
  command
      ->add_option(
          "--raw", flags->raw, "Input is raw samples, RATE:CHANNELS:FORMAT")
      ->excludes(microphone);
  command
      ->add_option(
          "--dump", flags->dump, "Write named intermediates to this folder")
      ->excludes(microphone);
  command->add_flag("--verbose", flags->verbose, "Say how long it took");
  command->footer(
      "Examples:\n"
      "  mlx-audio enhance -m FOLDER talk.wav -o clean.wav\n"
      "  mlx-audio enhance -m FOLDER recordings/ -o cleaned/ --format flac\n"
      "  mlx-audio enhance -m FOLDER --microphone --play -o call.wav\n"
      "  arecord -f FLOAT_LE -r 48000 -t raw | mlx-audio enhance -m FOLDER - \\\n"
      "    --raw 48000:1:f32 --stream --format pcm --sample-format f32 -o - | ...");
  command->callback([flags] { run_enhance(*flags); });
}

} // namespace mlx_audio::cli
