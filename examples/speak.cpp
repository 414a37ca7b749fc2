// Speaks a text to a WAV file: speak TEXT FILE
#include <cstdio>
#include <vector>

#include "mlx_audio/audio.h"
#include "mlx_audio/error.h"
#include "mlx_audio/speech.h"

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s TEXT FILE.wav\n", argv[0]);
    return 2;
  }
  try {
    auto model = mlx_audio::load_speech_model("kokoro");
    auto stream = model->synthesize({.text = argv[1], .voice = "af_heart"});
    mlx_audio::Audio audio{{}, model->info().sample_rate, 1};
    while (auto chunk = stream->next()) {
      audio.samples.insert(
          audio.samples.end(), chunk->samples.begin(), chunk->samples.end());
    }
    mlx_audio::write_audio(argv[2], audio);
    std::printf("%.2f s of speech in %s\n", audio.seconds(), argv[2]);
    return 0;
  } catch (const mlx_audio::Error& error) {
    std::fprintf(stderr, "%s\n%s\n", error.what(), error.hint().c_str());
    return mlx_audio::exit_code(error.kind());
  }
}
