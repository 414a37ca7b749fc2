// What both speech-to-text commands run.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mlx_audio/transcription.h"

namespace mlx_audio::cli {

struct SttJob {
  std::vector<std::string> inputs; ///< files, folders, globs or "-"
  bool microphone = false; ///< instead of inputs; live
  int device = -1; ///< of the microphone; -1: the default one
  std::string model = "whisper-base";
  std::string enhance; ///< model that cleans the sound first; empty: none
  TranscriptionModelOptions loading;
  TranscriptionOptions options;
  std::vector<TranscriptFormat> formats = {TranscriptFormat::txt};
  SubtitleOptions subtitles;
  std::string output; ///< a file, a folder or "-"; empty: standard output
  ReadAudioOptions reading;
  bool per_channel = false; ///< each channel by itself
  bool live = false; ///< text while it is being said
  bool real_time = false; ///< with live: a file as slowly as it sounds
  double live_step = 1.0; ///< seconds
  bool quiet = false; ///< no progress and no summary
  /// Flags that are meant for other models have no effect instead of failing.
  bool lenient = false;
};

/// Transcribes all inputs. Goes on after one that fails; then, at the end,
/// throws the first one's error.
void run_stt(const SttJob& job);

} // namespace mlx_audio::cli
