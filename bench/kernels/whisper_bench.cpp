// Whisper's two transformers, on the real base model (or the folder in
// WHISPER_BENCH_MODEL), against what the machine can do: the encoder's rate
// beside oneDNN's in bf16 on its widest layer, a decoder step beside the time
// that reading its weights and the audio's keys and values takes.
#include <cstdlib>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "hub/store.h"
#include "kernels/machine.h"
#include "kernels/packed.h"
#include "models/whisper/config.h"
#include "models/whisper/decoding.h"

namespace mlx_audio::whisper {
namespace {

std::string folder() {
  if (const char* given = std::getenv("WHISPER_BENCH_MODEL")) {
    return given;
  }
  return hub::find_local_model("whisper-base");
}

const WhisperModel& model() {
  static const WhisperModel model(
      load_config(folder()),
      load_checkpoint(folder()),
      {.packed = PackedMode::int8});
  return model;
}

// Multiply-adds of a window, twice.
double encoder_flops(const WhisperConfig& c) {
  double width = c.n_audio_state;
  double frames = c.n_audio_ctx;
  double layer = 2 * frames * 12 * width * width + 4 * frames * frames * width;
  return c.n_audio_layer * layer + 2 * 2 * frames * 3 * c.n_mels * width +
      2 * frames * 3 * width * width;
}

void encoder(benchmark::State& state) {
  const auto& c = model().config();
  auto mel = mx::random::normal({1, 2 * c.n_audio_ctx, c.n_mels});
  mx::eval(mel);
  auto seconds = kernels::best_of(2, [&] { model().encode(mel).eval(); });
  for (auto _ : state) {
    model().encode(mel).eval();
  }
  double rate = 1e-9 * encoder_flops(c) / seconds;
  double theirs =
      kernels::onednn_bf16(c.n_audio_ctx, c.n_audio_state, 4 * c.n_audio_state);
  state.counters["GFLOP/s"] = rate;
  state.counters["oneDNN bf16"] = theirs;
  state.counters["share"] = rate / theirs;
}

// One token of `state.range(0)` candidates of one window, after 100 others.
void decoder(benchmark::State& state) {
  const auto& c = model().config();
  auto rows = static_cast<int>(state.range(0));
  auto windows = encode_windows(
      model(), mx::random::normal({1, 2 * c.n_audio_ctx, c.n_mels}));
  DecoderState past(model(), windows.memory, rows);
  model().decode(mx::zeros({1, 100}, mx::int32), past).eval();
  past.reorder(std::vector<int>(static_cast<size_t>(rows), 0));
  auto token = mx::zeros({rows, 1}, mx::int32);
  auto step = [&] { model().logits(model().decode(token, past)).eval(); };
  auto seconds = kernels::best_of(0.3, step);
  for (auto _ : state) {
    step();
    if (past.length() > c.n_text_ctx - 8) {
      state.SkipWithError("the context is full");
      break;
    }
  }
  // Weights in 8 bits and the audio's keys and values in bf16.
  double width = c.n_text_state;
  double bytes = c.n_text_layer * 14 * width * width + c.n_vocab * width +
      c.n_text_layer * 2.0 * 2 * c.n_audio_ctx * width;
  double floor = bytes / (1e9 * kernels::read_bandwidth());
  state.counters["MB"] = 1e-6 * bytes;
  state.counters["floor ms"] = 1e3 * floor;
  state.counters["over floor"] = seconds / floor;
}

BENCHMARK(encoder)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(decoder)->Arg(1)->Arg(5)->UseRealTime()->Iterations(100)->Unit(
    benchmark::kMillisecond);

} // namespace
} // namespace mlx_audio::whisper
