#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>

#include <nlohmann/json.hpp>

#include "cli/sound.h"
#include "cli/subtitles.h"
#include "cli/terminal.h"
#include "cli/tts.h"
#include "engine/reference_text.h"
#include "mlx_audio/error.h"
#include "nn/dump.h"

namespace mlx_audio::cli {

namespace {

namespace fs = std::filesystem;

// The audio of a job: one file, standard output, a file a chunk, loudspeaker.
class Output {
 public:
  Output(const TtsJob& job, int sample_rate)
      : job_(job), sample_rate_(sample_rate) {
    if (job.play) {
      player_.emplace(sample_rate, 1);
    }
    if (job.output.empty()) {
      return;
    }
    if (job.split) {
      std::error_code error;
      fs::create_directories(job.output, error);
      if (error) {
        throw Error(
            ErrorKind::io,
            "cannot make the folder '" + job.output + "': " + error.message());
      }
    } else {
      auto sink = job.output == "-" ? stdout_sink() : file_sink(job.output);
      writer_.emplace(std::move(sink), job.encoding, sample_rate, 1);
    }
  }

  void write(const SpeechChunk& chunk) {
    if (writer_) {
      writer_->write(chunk.samples);
      if (job_.stream) {
        writer_->flush();
      }
    } else if (job_.split) {
      char number[16];
      std::snprintf(number, sizeof(number), "_%03d.", count_);
      auto path = fs::path(job_.output) /
          (job_.prefix + number + file_extension(job_.encoding.format));
      write_audio(
          path.string(), {chunk.samples, sample_rate_, 1}, job_.encoding);
    }
    if (player_) {
      player_->write(chunk.samples);
    }
    ++count_;
  }

  void finish() {
    if (writer_) {
      writer_->finish();
    }
    if (player_) {
      player_->drain();
    }
  }

 private:
  const TtsJob& job_;
  int sample_rate_;
  int count_ = 0;
  std::optional<AudioWriter> writer_;
  std::optional<Loudspeaker> player_;
};

void write_timestamps(
    const std::string& path,
    const std::vector<WordTime>& words) {
  bool srt = fs::path(path).extension() == ".srt";
  std::string text = srt ? words_to_srt(words) : words_to_json(words);
  if (path == "-") {
    std::cout << text;
    return;
  }
  auto sink = file_sink(path);
  sink->write({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  sink->finish();
}

} // namespace

void run_tts(const TtsJob& given) {
  TtsJob job = given;
  nn::set_dump_folder(job.dump);
  Stopwatch loading;
  auto model = load_speech_model(job.model, job.load);
  double load_seconds = loading.seconds();

  if (job.adapt) {
    job.adapt(model->info(), job.request);
  }
  auto& reference = job.request.reference;
  bool heard = reference && reference->text == engine::kAutoText;
  if (heard) {
    reference->text = engine::heard_text(reference->audio, job.whisper);
    if (!job.quiet) {
      std::cerr << "The reference says: " << reference->text << '\n';
    }
  }
  Stopwatch speaking;
  auto stream = model->synthesize(job.request);
  double preparing_seconds = speaking.seconds();
  if (reference && !heard && job.check_ref_text) {
    auto warning = engine::reference_text_warning(*reference, job.whisper);
    if (!warning.empty()) {
      std::cerr << "warning: " << warning << '\n';
    }
  }
  speaking = Stopwatch();
  std::optional<Output> output;
  std::vector<WordTime> words;
  Progress progress;
  double audio_seconds = 0;
  double first_audio_seconds = 0;
  double processing_seconds = 0; // without waiting for the loudspeaker
  FinishReason finish = FinishReason::stop;
  Stopwatch step;
  while (auto chunk = stream->next()) {
    processing_seconds += step.seconds();
    if (!output) {
      // Opened late, so that a request that fails leaves nothing behind.
      first_audio_seconds = preparing_seconds + speaking.seconds();
      output.emplace(job, chunk->sample_rate);
    }
    audio_seconds +=
        static_cast<double>(chunk->samples.size()) / chunk->sample_rate;
    output->write(*chunk);
    if (!job.timestamps.empty()) {
      words.insert(words.end(), chunk->words.begin(), chunk->words.end());
    }
    finish = chunk->finish_reason.value_or(finish);
    if (!chunk->warning.empty()) {
      progress.clear();
      std::cerr << "warning: " << chunk->warning << '\n';
    }
    char note[96];
    std::snprintf(
        note,
        sizeof(note),
        "%.1f s spoken, %.1f times real time",
        audio_seconds,
        audio_seconds / std::max(processing_seconds, 1e-9));
    if (!job.quiet) {
      progress.show(
          static_cast<double>(chunk->text_end) / job.request.text.size(), note);
    }
    step = Stopwatch();
  }
  if (output) {
    output->finish();
  }
  progress.clear();
  if (nn::dumping() && nn::dump_count() == 0) {
    throw Error(
        ErrorKind::unsupported,
        "the architecture '" + model->info().architecture +
            "' has no intermediates to write to '" + job.dump + "'");
  }
  if (!job.timestamps.empty()) {
    write_timestamps(job.timestamps, words);
  }
  if (job.json) {
    nlohmann::ordered_json result = {
        {"audio_seconds", audio_seconds},
        {"processing_seconds", processing_seconds},
        {"rtf", audio_seconds > 0 ? processing_seconds / audio_seconds : 0},
        {"first_audio_seconds", first_audio_seconds},
        {"load_seconds", load_seconds},
        {"peak_memory_bytes", peak_memory_bytes()},
        {"weight_bytes", model->info().weight_bytes},
        {"finish_reason", to_string(finish)},
        {"output", job.output}};
    std::cout << result.dump() << '\n';
  }
}

} // namespace mlx_audio::cli
