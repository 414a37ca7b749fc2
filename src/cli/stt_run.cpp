#include <glob.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <condition_variable>
#include <cstdio>
#include <deque>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <mutex>
#include <set>
#include <thread>

#include <nlohmann/json.hpp>
#include <unistd.h>

#include "cli/sound.h"
#include "cli/stt.h"
#include "cli/terminal.h"
#include "hub/store.h"
#include "mlx_audio/enhancement.h"
#include "mlx_audio/error.h"

namespace mlx_audio::cli {

namespace fs = std::filesystem;

namespace {

constexpr int kHeardRate = 16000;

const char* extension(TranscriptFormat format) {
  switch (format) {
    case TranscriptFormat::srt:
      return ".srt";
    case TranscriptFormat::vtt:
      return ".vtt";
    case TranscriptFormat::tsv:
      return ".tsv";
    case TranscriptFormat::json:
    case TranscriptFormat::verbose_json:
      return ".json";
    default:
      return ".txt";
  }
}

bool sounds(const fs::path& path) {
  static const std::set<std::string> known = {
      ".wav", ".flac", ".mp3", ".ogg",  ".oga", ".opus", ".m4a",  ".mp4",
      ".aac", ".webm", ".mkv", ".mov",  ".wma", ".aif",  ".aiff", ".caf",
      ".au",  ".w64",  ".amr", ".weba", ".avi", ".ts",   ".3gp",  ".m4b"};
  auto name = path.extension().string();
  std::transform(name.begin(), name.end(), name.begin(), [](char c) {
    return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  });
  return known.count(name) != 0;
}

// Folders become the sound files in them, patterns what they match.
std::vector<std::string> expand(const std::vector<std::string>& inputs) {
  std::vector<std::string> files;
  for (const auto& input : inputs) {
    std::error_code error;
    if (input != "-" && fs::is_directory(input, error)) {
      std::vector<std::string> found;
      for (const auto& entry : fs::recursive_directory_iterator(
               input, fs::directory_options::skip_permission_denied, error)) {
        if (entry.is_regular_file(error) && sounds(entry.path())) {
          found.push_back(entry.path().string());
        }
      }
      if (found.empty()) {
        throw Error(
            ErrorKind::not_found, "no sound files in folder '" + input + "'");
      }
      std::sort(found.begin(), found.end());
      files.insert(files.end(), found.begin(), found.end());
    } else if (
        input != "-" && !fs::exists(input, error) &&
        input.find_first_of("*?[") != std::string::npos) {
      glob_t matches = {};
      if (glob(input.c_str(), 0, nullptr, &matches) == 0) {
        for (size_t i = 0; i < matches.gl_pathc; ++i) {
          files.emplace_back(matches.gl_pathv[i]);
        }
      }
      bool none = matches.gl_pathc == 0;
      globfree(&matches);
      if (none) {
        throw Error(ErrorKind::not_found, "nothing matches '" + input + "'");
      }
    } else {
      files.push_back(input);
    }
  }
  return files;
}

void write(const std::string& path, const std::string& text) {
  auto sink = path == "-" ? stdout_sink() : file_sink(path);
  sink->write({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  sink->flush();
  sink->finish();
}

std::string minutes(double seconds) {
  char text[32];
  auto whole = std::lround(std::max(seconds, 0.0));
  std::snprintf(text, sizeof(text), "%ld:%02ld", whole / 60, whole % 60);
  return text;
}

class Runner {
 public:
  explicit Runner(const SttJob& job)
      : job_(job),
        files_(
            job.microphone ? std::vector<std::string>{"microphone"}
                           : expand(job.inputs)) {
    auto& loading = job_.loading;
    loading.vad_model = hub::find_local_model("silero-vad");
    std::error_code error;
    to_folder_ = !job.output.empty() && job.output != "-" &&
        (fs::is_directory(job.output, error) || job.output.back() == '/' ||
         files_.size() > 1 || job.formats.size() > 1 || job.per_channel);
    if (job.formats.size() > 1 && !to_folder_) {
      throw Error(
          ErrorKind::invalid_argument,
          "several formats need a folder to go to",
          "add --output FOLDER");
    }
    model_ = load_transcription_model(hub::resolve_model(job.model), loading);
    if (job.lenient) {
      drop_flags_of_others();
    }
    if (!job.enhance.empty()) {
      enhancer_ = Enhancer::load(hub::resolve_model(job.enhance));
    }
    if (to_folder_) {
      fs::create_directories(job.output, error);
      if (error) {
        throw Error(
            ErrorKind::io,
            "cannot make folder '" + job.output + "': " + error.message());
      }
    }
  }

  void run() {
    std::optional<Error> first;
    size_t failed = 0;
    for (const auto& file : files_) {
      try {
        one_file(file);
      } catch (const Error& error) {
        if (files_.size() == 1) {
          throw;
        }
        ++failed;
        std::cerr << "mlx-audio: " << file << ": " << error.what() << '\n';
        first = first ? first : error;
      }
    }
    if (first) {
      throw Error(
          first->kind(),
          std::to_string(failed) + " of " + std::to_string(files_.size()) +
              " files failed",
          "the others are done");
    }
  }

 private:
  void drop_flags_of_others() {
    auto& options = job_.options;
    if (model_->type() == "whisper") {
      // The limit may be one of all tokens; a window has its own.
      options.max_tokens = std::min(options.max_tokens, 224);
    } else {
      options.language.clear();
      options.batch_size = 1;
    }
  }

  void one_file(const std::string& file) {
    if (job_.live) {
      live(file);
      return;
    }
    int channels = 1;
    if (job_.per_channel) {
      channels = AudioReader(file, job_.reading).info().channels;
    }
    for (int i = 0; i < channels; ++i) {
      auto reading = job_.reading;
      std::string suffix;
      if (job_.per_channel) {
        reading.channel = i;
        suffix = ".channel" + std::to_string(i);
      }
      transcribe(file, reading, suffix);
    }
  }

  void transcribe(
      const std::string& file,
      const ReadAudioOptions& reading,
      const std::string& suffix) {
    Stopwatch watch;
    TranscriptionRequest request;
    Audio clean;
    if (enhancer_) {
      clean = enhanced(file, reading);
      request.audio = &clean;
    } else {
      request.path = file;
      request.reading = reading;
      request.reading.max_seconds = 0; // any length, at flat memory
    }
    request.options = job_.options;
    auto stream = model_->transcribe(request);
    bool as_text = !to_folder_ && (job_.output.empty() || job_.output == "-") &&
        job_.formats[0] == TranscriptFormat::txt;
    if (as_text && (files_.size() > 1 || !suffix.empty())) {
      std::cout << "# " << file << suffix << '\n';
    }
    Transcription result;
    {
      Progress progress;
      while (auto segment = stream->next()) {
        if (as_text) {
          print(*segment, progress);
        }
        result.text += segment->text;
        result.segments.push_back(std::move(*segment));
        show(progress, *stream, watch.seconds());
      }
    }
    result.language = stream->language();
    result.language_probability = stream->language_probability();
    result.duration = stream->duration();
    result.task = job_.options.task;
    result.has_words = job_.options.word_timestamps;
    result.truncated = stream->truncated();
    if (!stream->warning().empty()) {
      std::cerr << "mlx-audio: " << file << ": " << stream->warning() << '\n';
    }
    if (!as_text) {
      write_documents(result, file, suffix);
    }
    if (!job_.quiet && isatty(STDERR_FILENO) != 0) {
      char line[160];
      std::snprintf(
          line,
          sizeof(line),
          "%.1f s%s%s in %.2f s (%.1fx), peak %.0f MB",
          result.duration,
          result.language.empty() ? "" : " of ",
          result.language.c_str(),
          watch.seconds(),
          result.duration / std::max(watch.seconds(), 1e-9),
          static_cast<double>(peak_memory_bytes()) / 1e6);
      std::cerr << line << '\n';
    }
  }

  // At the rate that models hear, so that an hour takes 230 MB.
  Audio enhanced(const std::string& file, ReadAudioOptions reading) {
    reading.max_seconds = 0;
    reading.mono = !reading.channel;
    AudioReader reader(file, reading);
    auto session = enhancer_->session(
        reader.sample_rate(), reader.channels(), {.sample_rate = kHeardRate});
    Audio clean;
    clean.sample_rate = session.sample_rate();
    clean.channels = session.channels();
    std::vector<float> block(1 << 15);
    while (size_t count = reader.read(block)) {
      session.feed(std::span(block).first(count));
      while (session.step(clean.samples)) {
      }
    }
    session.close();
    while (session.step(clean.samples)) {
    }
    return clean;
  }

  void write_documents(
      const Transcription& result,
      const std::string& file,
      const std::string& suffix) {
    for (auto format : job_.formats) {
      write(
          target(file, suffix, format),
          format_transcript(result, format, job_.subtitles));
    }
  }

  static void print(const TranscriptionSegment& segment, Progress& progress) {
    auto text = labelled_text(segment);
    if (!text.empty()) {
      progress.clear();
      std::cout << text << std::endl;
      if (!std::cout) {
        throw Error(ErrorKind::io, "cannot write to standard output");
      }
    }
  }

  void show(Progress& progress, const TranscriptionStream& s, double elapsed) {
    if (job_.quiet) {
      return;
    }
    double done = s.position();
    double speed = done / std::max(elapsed, 1e-3);
    char note[80];
    std::snprintf(
        note,
        sizeof(note),
        "%s of %s, %.1fx, %s left",
        minutes(done).c_str(),
        minutes(s.duration()).c_str(),
        speed,
        minutes((s.duration() - done) / std::max(speed, 1e-3)).c_str());
    progress.show(done / std::max(s.duration(), 1e-3), note);
  }

  std::string target(
      const std::string& file,
      const std::string& suffix,
      TranscriptFormat format) {
    if (!to_folder_) {
      return job_.output.empty() ? "-" : job_.output;
    }
    auto stem =
        file == "-" ? std::string("stdin") : fs::path(file).stem().string();
    auto name = stem + suffix + extension(format);
    // Two inputs of one name must not overwrite each other.
    for (int n = 2; !written_.insert(name).second; ++n) {
      name = stem + "-" + std::to_string(n) + suffix + extension(format);
    }
    return (fs::path(job_.output) / name).string();
  }

  void live(const std::string& file);
  void report(const LiveUpdate& update, bool json);

  SttJob job_;
  std::vector<std::string> files_;
  bool to_folder_ = false;
  std::set<std::string> written_;
  std::unique_ptr<TranscriptionModel> model_;
  std::optional<Enhancer> enhancer_;
};

void Runner::report(const LiveUpdate& update, bool json) {
  if (json) {
    for (const auto& word : update.words) {
      nlohmann::ordered_json line = {
          {"type", "word"},
          {"word", word.text},
          {"start", word.start},
          {"end", word.end}};
      std::cout << line.dump() << std::endl;
    }
    if (update.segment) {
      nlohmann::ordered_json line = {
          {"type", "segment"},
          {"start", update.segment->start},
          {"end", update.segment->end},
          {"text", update.segment->text}};
      std::cout << line.dump() << std::endl;
    }
    return;
  }
  for (const auto& word : update.words) {
    std::cout << word.text;
  }
  if (update.segment) {
    std::cout << '\n';
  }
  std::cout << std::flush;
}

void Runner::live(const std::string& file) {
  LiveOptions options;
  options.transcription = job_.options;
  options.step = job_.live_step;
  auto session = model_->listen(options);
  auto reading = job_.reading;
  if (!enhancer_) {
    reading.sample_rate = kHeardRate;
  }
  reading.mono = !reading.channel;
  reading.max_seconds = 0;
  SoundInput input = job_.microphone
      ? SoundInput(
            enhancer_ ? enhancer_->sample_rate() : kHeardRate, job_.device)
      : SoundInput(file, reading, 0.1);
  const auto rate = static_cast<size_t>(input.sample_rate());
  std::optional<EnhancementSession> cleaner;
  bool any = false; // sound came
  if (enhancer_) {
    cleaner = enhancer_->session(
        input.sample_rate(), 1, {.sample_rate = kHeardRate, .live = true});
  }
  // What the model hears of the samples read.
  auto heard = [&](std::vector<float> samples, bool last) {
    if (!cleaner) {
      return samples;
    }
    std::vector<float> clean;
    if (!samples.empty()) {
      cleaner->feed(samples);
      any = true;
    }
    if (last && any) {
      cleaner->close();
    }
    while (cleaner->step(clean)) {
    }
    return clean;
  };

  // A thread reads, so that a pipe never waits for the model.
  std::mutex mutex;
  std::condition_variable arrived;
  std::vector<float> fresh;
  bool ended = false;
  std::exception_ptr failure;
  bool paced = job_.real_time;
  bool arrives = job_.microphone || file == "-";
  const size_t most = rate * 2; // samples ahead of a file's reader
  std::thread thread([&] {
    try {
      auto begin = std::chrono::steady_clock::now();
      double sent = 0;
      for (auto some = input.read(); !some.empty(); some = input.read()) {
        std::unique_lock lock(mutex);
        if (!arrives && !paced) {
          arrived.wait(lock, [&] { return fresh.size() < most || ended; });
        }
        if (ended) {
          return;
        }
        fresh.insert(fresh.end(), some.begin(), some.end());
        arrived.notify_all();
        lock.unlock();
        sent += static_cast<double>(some.size()) / static_cast<double>(rate);
        if (paced) {
          std::this_thread::sleep_until(
              begin +
              std::chrono::duration_cast<std::chrono::nanoseconds>(
                  std::chrono::duration<double>(sent)));
        }
      }
    } catch (...) {
      failure = std::current_exception();
    }
    std::lock_guard lock(mutex);
    ended = true;
    arrived.notify_all();
  });
  // Standard output has the text as it comes; documents are written at the
  // end, to standard output only those that cannot come bit by bit.
  const bool json = job_.formats[0] == TranscriptFormat::json;
  const bool to_file = !job_.output.empty() && job_.output != "-";
  const bool shown =
      to_file || json || job_.formats[0] == TranscriptFormat::txt;
  const bool kept = to_file || !shown;
  Transcription result;
  auto take = [&](const LiveUpdate& update) {
    if (shown) {
      report(update, json);
    }
    if (kept && update.segment) {
      result.text += update.segment->text;
      result.segments.push_back(*update.segment);
    }
  };
  if (job_.microphone && !job_.quiet && isatty(STDERR_FILENO) != 0) {
    std::cerr << "listening, Ctrl-C ends it\n";
  }
  try {
    for (bool done = false; !done;) {
      std::vector<float> some;
      {
        std::unique_lock lock(mutex);
        arrived.wait(lock, [&] { return !fresh.empty() || ended; });
        done = ended && fresh.size() <= most;
        auto count = arrives || paced
            ? fresh.size()
            : std::min(
                  fresh.size(),
                  static_cast<size_t>(
                      options.step * static_cast<double>(rate)));
        done = done && count == fresh.size();
        some.assign(
            fresh.begin(), fresh.begin() + static_cast<std::ptrdiff_t>(count));
        fresh.erase(
            fresh.begin(), fresh.begin() + static_cast<std::ptrdiff_t>(count));
        arrived.notify_all();
      }
      result.duration +=
          static_cast<double>(some.size()) / static_cast<double>(rate);
      session->feed(heard(std::move(some), done));
      if (auto update = session->step()) {
        take(*update);
      }
    }
    take(session->close());
  } catch (...) {
    {
      std::lock_guard lock(mutex);
      ended = true;
      arrived.notify_all();
    }
    thread.join();
    throw;
  }
  thread.join();
  if (kept && (!failure || !result.segments.empty())) {
    result.language = session->language();
    result.task = job_.options.task;
    result.has_words = job_.options.word_timestamps;
    write_documents(result, file, "");
  }
  if (auto warning = input.warning(); !warning.empty()) {
    std::cerr << "mlx-audio: " << file << ": " << warning << '\n';
  }
  if (failure) {
    std::rethrow_exception(failure);
  }
}

} // namespace

void run_stt(const SttJob& job) {
  Runner(job).run();
}

} // namespace mlx_audio::cli
