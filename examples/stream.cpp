// Speaks while it reads on: raw 16-bit samples to standard output as they are
// made, word times to standard error. Stops after ten seconds of speech.
//   stream TEXT | aplay -r 24000 -f S16_LE
#include <cstdio>

#include "mlx_audio/audio.h"
#include "mlx_audio/error.h"
#include "mlx_audio/speech.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s TEXT\n", argv[0]);
    return 2;
  }
  try {
    auto model = mlx_audio::load_speech_model("kokoro");
    auto stream = model->synthesize({.text = argv[1], .low_latency = true});
    mlx_audio::AudioWriter writer(
        mlx_audio::stdout_sink(),
        {.format = mlx_audio::AudioFormat::pcm},
        model->info().sample_rate,
        1);
    double seconds = 0;
    while (auto chunk = stream->next()) {
      writer.write(chunk->samples);
      writer.flush();
      for (const auto& word : chunk->words) {
        std::fprintf(stderr, "%6.2f %s\n", word.start, word.text.c_str());
      }
      seconds +=
          static_cast<double>(chunk->samples.size()) / chunk->sample_rate;
      if (seconds > 10) {
        stream->stop();
      }
    }
    writer.finish();
    return 0;
  } catch (const mlx_audio::Error& error) {
    std::fprintf(stderr, "%s\n%s\n", error.what(), error.hint().c_str());
    return mlx_audio::exit_code(error.kind());
  }
}
