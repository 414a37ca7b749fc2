// What `mlx-audio tts` and `mlx_audio.tts.generate` share.
#pragma once

#include <functional>
#include <string>

#include "mlx_audio/audio.h"
#include "mlx_audio/speech.h"

namespace mlx_audio::cli {

struct TtsJob {
  std::string model = "kokoro";
  LoadOptions load;
  SpeechRequest request;
  std::string whisper = "whisper-base"; ///< hears what a reference says
  bool check_ref_text = true; ///< against what it hears, if it is at hand

  std::string output; ///< a file, "-", or with `split` a folder
  bool split = false; ///< one file a chunk: PREFIX_000.wav, ...
  std::string prefix = "audio";
  AudioEncoding encoding;
  bool stream = false; ///< hand each chunk on as soon as it is made
  bool play = false;
  std::string timestamps; ///< a .json or .srt file, or "-" for JSON
  bool json = false; ///< end with one line of JSON on standard output
  bool quiet = false;
  std::string dump; ///< a folder for the network's named intermediates
  /// Sees the loaded model before it is asked to speak.
  std::function<void(const SpeechModelInfo&, SpeechRequest&)> adapt = {};
};

/// Speaks and writes everything the job asks for.
void run_tts(const TtsJob& job);

} // namespace mlx_audio::cli
