#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <memory>

#include <nlohmann/json.hpp>
#include <unistd.h>

#include "cli/commands.h"
#include "mlx_audio/audio.h"
#include "mlx_audio/enhancement.h"
#include "mlx_audio/error.h"

namespace mlx_audio::cli {

namespace {

namespace fs = std::filesystem;

struct Flags {
  std::vector<std::string> files;
  std::string model;
  std::string output;
  std::string sample_format;
  std::string format;
  std::string segments = "crossfade";
  std::string raw;
  std::string dump;
  std::string gen_kwargs;
  int sample_rate = -1;
  bool keep_rate = false;
  bool verbose = false;
  bool dithered = false;
  EnhancerOptions load;
  EnhancementOptions options;
};

struct Job {
  std::string in;
  std::string out; // "-" is standard output
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
std::vector<Job> plan_jobs(const Flags& flags) {
  auto files = expand(flags.files);
  auto extension = flags.format.empty()
      ? std::string("wav")
      : std::string(file_extension(parse_audio_format(flags.format)));
  bool is_folder = fs::is_directory(flags.output);
  std::vector<Job> jobs;
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

// {"chunked": true} and what else mlx_audio.sts.generate hands on.
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
    flags.segments = value.get<bool>() ? "chunked" : flags.segments;
  }
}

class Progress {
 public:
  Progress(const std::string& name, std::optional<double> total)
      : name_(name),
        total_(total.value_or(0)),
        shown_(::isatty(STDERR_FILENO) == 1) {}

  void operator()(double seconds) {
    if (!shown_) {
      return;
    }
    if (total_ > 0) {
      std::fprintf(
          stderr,
          "\r%s %3.0f %% ",
          name_.c_str(),
          std::min(100.0, 100 * seconds / total_));
    } else {
      std::fprintf(stderr, "\r%s %.1f s ", name_.c_str(), seconds);
    }
    drawn_ = true;
  }
  ~Progress() {
    if (drawn_) {
      std::fputc('\n', stderr);
    }
  }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

 private:
  std::string name_;
  double total_;
  bool shown_;
  bool drawn_ = false;
};

void enhance_file(
    const Enhancer& enhancer,
    const Flags& flags,
    const Job& job) {
  ReadAudioOptions read{.max_seconds = 0};
  if (!flags.raw.empty()) {
    read.raw = parse_raw(flags.raw);
  }
  AudioReader reader(job.in, read);
  auto session =
      enhancer.session(reader.sample_rate(), reader.channels(), flags.options);
  AudioEncoding encoding;
  if (!flags.format.empty()) {
    encoding.format = parse_audio_format(flags.format);
  } else if (job.out != "-") {
    encoding.format =
        audio_format_from_path(job.out).value_or(AudioFormat::wav);
  }
  encoding.sample_format = flags.sample_format.empty()
      ? reader.info().sample_format
      : parse_sample_format(flags.sample_format);
  if (encoding.format == AudioFormat::flac &&
      encoding.sample_format == SampleFormat::f32 &&
      flags.sample_format.empty()) {
    encoding.sample_format = SampleFormat::s24;
  }
  AudioWriter writer(
      job.out == "-" ? stdout_sink() : file_sink(job.out),
      encoding,
      session.sample_rate(),
      session.channels());
  std::optional<double> total;
  if (reader.info().frames) {
    total =
        static_cast<double>(*reader.info().frames) / reader.info().sample_rate;
  }
  auto start = std::chrono::steady_clock::now();
  double seconds = 0;
  {
    Progress progress(job.in, total);
    enhance_stream(reader, session, writer, [&](double s) {
      seconds = s;
      progress(s);
    });
  }
  writer.finish();
  if (!reader.warning().empty()) {
    std::cerr << "mlx-audio: " << job.in << ": " << reader.warning() << '\n';
  }
  if (flags.verbose) {
    std::chrono::duration<double> spent =
        std::chrono::steady_clock::now() - start;
    std::fprintf(
        stderr,
        "%s: %.2f s of audio in %.2f s (RTF %.3f), latency %.2f s -> %s\n",
        job.in.c_str(),
        seconds,
        spent.count(),
        spent.count() / std::max(seconds, 1e-9),
        session.latency_seconds(),
        job.out.c_str());
  }
}

void run(Flags& flags) {
  apply_kwargs(flags);
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
  auto enhancer = Enhancer::load(flags.model, flags.load);
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

} // namespace

void add_enhance_command(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand(
      "enhance", "Take noise and reverberation out of speech");
  auto& o = flags->options;
  command
      ->add_option(
          "files,--audio", flags->files, "Files, folders, or - for a stream")
      ->required();
  command->add_option("--model", flags->model, "Folder of the model")
      ->required();
  command->add_option(
      "-o,--output,--output-path,--output_path",
      flags->output,
      "File or folder; - is standard output [.]");
  command->add_option(
      "--format,--audio-format", flags->format, "wav, flac, mp3, opus, ...");
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
      "--window-seconds,--chunk-seconds",
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
      "--sample-rate,--sample_rate", flags->sample_rate, "Of the output [Hz]");
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
  command->add_option(
      "--raw", flags->raw, "Input is raw samples, RATE:CHANNELS:FORMAT");
  command->add_option(
      "--dump", flags->dump, "Write named intermediates to this folder");
  command->add_option(
      "--gen-kwargs,--gen_kwargs", flags->gen_kwargs, "JSON, as mlx-audio has");
  command->add_flag("--verbose", flags->verbose, "Say how long it took");
  command->callback([flags] { run(*flags); });
}

} // namespace mlx_audio::cli
