// VibeVoice-ASR, layer by layer and token by token, on the tiny random
// checkpoints of the parity program: both layouts, quantized, and streaming.
// MLX_AUDIO_VIBEVOICE_CASES names a folder of other cases of it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>

#include <nlohmann/json.hpp>

#include "models/vibevoice_asr/chunks.h"
#include "models/vibevoice_asr/recording.h"

namespace mlx_audio::vibevoice_asr {
namespace {

using Json = nlohmann::json;

std::string root() {
  const char* other = std::getenv("MLX_AUDIO_VIBEVOICE_CASES");
  return other != nullptr ? other : TEST_DATA_DIR "/vibevoice_asr";
}

struct Case {
  std::string name;
  std::string folder;
  Json info;
  std::unordered_map<std::string, mx::array> golden;
  std::shared_ptr<const Model> model;

  bool has(const std::string& tensor) const {
    return golden.count(tensor) != 0;
  }
  std::vector<int> ids(const std::string& tensor) const {
    auto a = mx::contiguous(golden.at(tensor));
    a.eval();
    return {a.data<int>(), a.data<int>() + a.size()};
  }
  bool quantized() const {
    return name[0] == 'q';
  }
};

Case load_case(const std::string& name) {
  Case c{
      .name = name,
      .folder = root() + "/" + name,
      .info = {},
      .golden = {},
      .model = nullptr};
  std::ifstream file(c.folder + "/case.json");
  c.info = Json::parse(file);
  c.golden = mx::load_safetensors(c.folder + "/golden.safetensors").first;
  auto checkpoint = c.folder + "/checkpoint";
  auto network = Network::load(checkpoint);
  TextIds ids(checkpoint, network->config);
  c.model =
      std::make_shared<const Model>(Model{std::move(network), std::move(ids)});
  return c;
}

// Names of the cases that hear recordings.
std::vector<std::string> recordings() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(root())) {
    if (std::filesystem::exists(entry.path() / "golden.safetensors") &&
        entry.path().filename() != "streaming") {
      names.push_back(entry.path().filename());
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

// The program's tolerance: 2e-4 and 1e-4 of the root mean square in f32; ten
// times that behind quantized layers, whose reference multiplies in other
// orders.
void expect_near(
    const mx::array& got,
    const mx::array& want,
    const std::string& what,
    bool quantized = false) {
  ASSERT_EQ(got.size(), want.size()) << what;
  auto a = mx::astype(mx::flatten(got), mx::float32);
  auto b = mx::astype(mx::flatten(want), mx::float32);
  float rms = mx::sqrt(mx::mean(mx::square(b))).item<float>();
  float worst = mx::max(mx::abs(a - b)).item<float>();
  float scale = quantized ? 10 : 1;
  EXPECT_LE(worst, scale * std::max(2e-4f, 1e-4f * rms)) << what;
}

TranscriptionRequest request_of(const Case& c, const Json& run) {
  const Json& p = run["parameters"];
  TranscriptionRequest request;
  request.path = c.folder + "/" + run["input"].get<std::string>();
  auto& o = request.options;
  o.temperatures = {p["temperature"].get<double>()};
  o.top_p = p["top_p"].get<double>();
  o.top_k = p["top_k"].get<int>();
  o.min_p = p["min_p"].get<double>();
  o.repetition_penalty = p["repetition_penalty"].get<double>();
  o.repetition_context = p["repetition_context_size"].get<int>();
  if (p["context"].is_string()) {
    o.initial_prompt = p["context"].get<std::string>();
  }
  if (p["hotwords"].is_array()) {
    for (const auto& word : p["hotwords"]) {
      o.hotwords += (o.hotwords.empty() ? "" : ",") + word.get<std::string>();
    }
  }
  o.max_tokens = p["max_tokens"].get<int>();
  auto chunk = p.value("max_tokens_per_chunk", Json());
  if (chunk.is_number()) {
    o.max_tokens = chunk.get<int>();
  }
  auto seconds = [&](const char* field) {
    auto value = p.value(field, Json());
    return value.is_number() ? std::optional<double>(value.get<double>())
                             : std::nullopt;
  };
  o.chunk_duration = seconds("streaming_chunk_duration");
  o.text_audio_delay = seconds("text_audio_delay");
  o.pad_last_chunk = p.value("pad_last_chunk", true);
  return request;
}

std::vector<float> read_sound(const std::string& path) {
  return read_audio(path, {.sample_rate = 24000, .mono = true}).samples;
}

mx::array as_array(std::span<const float> x) {
  return mx::array(x.data(), {static_cast<int>(x.size())}, mx::float32);
}

std::vector<float> values_of(mx::array x) {
  x = mx::contiguous(mx::flatten(mx::astype(x, mx::float32)));
  x.eval();
  return {x.data<float>(), x.data<float>() + x.size()};
}

// Power of `want` over that of the difference [dB], up to 0.45 of `rate`.
double agreement(
    std::span<const float> got,
    std::span<const float> want,
    double rate) {
  int count = static_cast<int>(want.size());
  auto phase = mx::arange(count) * mx::array(2 * 3.14159265f / count);
  auto window = mx::array(0.5f) - mx::array(0.5f) * mx::cos(phase);
  int bins = static_cast<int>(0.45 * rate / 24000 * count);
  auto power = [&](const mx::array& x) {
    auto bands = mx::slice(mx::fft::rfft(x * window), {0}, {bins});
    return mx::sum(mx::square(mx::abs(bands))).item<float>();
  };
  auto a = as_array(got);
  auto b = as_array(want);
  return 10 * std::log10(power(b) / power(a - b));
}

mx::array flat(const mx::array& x) { // [1, frames, dim] -> [frames, dim]
  return mx::reshape(x, {x.shape(-2), x.shape(-1)});
}

std::string stripped(const std::string& text) {
  auto from = text.find_first_not_of(" \t\n\r");
  return from == std::string::npos
      ? ""
      : text.substr(from, text.find_last_not_of(" \t\n\r") - from + 1);
}

class Recordings : public ::testing::TestWithParam<std::string> {};

TEST_P(Recordings, LayersAreTheReferences) {
  Case c = load_case(GetParam());
  const Network& network = *c.model->network;
  for (const auto& run : c.info["runs"]) {
    auto name = run["name"].get<std::string>();
    auto at = [&](const char* tensor) -> const mx::array& {
      return c.golden.at(name + "/" + tensor);
    };
    auto path = c.folder + "/" + run["input"].get<std::string>();
    auto sound = read_sound(path);
    auto samples = Loudness(sound, network.config).apply(sound);
    if (c.has(name + "/audio_24k_resampled")) {
      auto want = values_of(at("audio_24k_resampled"));
      ASSERT_EQ(sound.size(), want.size());
      // Resamplers differ beyond a sound's ends and where they fade out, in the
      // last tenth below half the lower rate.
      double from = run["resample"]["from"].get<double>();
      EXPECT_GT(agreement(sound, want, std::min(from, 24000.0)), 50) << name;
      samples = values_of(at("audio_24k_normalized"));
    } else if (c.has(name + "/audio_24k_normalized")) {
      expect_near(as_array(samples), at("audio_24k_normalized"), name);
    }
    Network::State state;
    auto latents = network.encode(samples, state);
    expect_near(latents.acoustic, at("acoustic_mean"), name + " acoustic");
    expect_near(latents.semantic, at("semantic_mean"), name + " semantic");
    if (c.has(name + "/acoustic_stage0")) {
      nn::Taps taps;
      mx::array x(
          samples.data(),
          {1, static_cast<int>(samples.size()), 1},
          mx::float32);
      Network::State fresh;
      network.acoustic(x, fresh.acoustic, &taps, "acoustic");
      network.semantic(x, fresh.semantic, &taps, "semantic");
      for (const auto& tap : taps.names()) {
        const auto& want = c.golden.at(name + "/" + tap);
        const auto& got = taps.at(tap);
        expect_near(
            mx::slice(got, {0, 0, 0}, {1, want.shape(1), want.shape(2)}),
            want,
            tap);
      }
      expect_near(
          network.acoustic_connector(latents.acoustic),
          at("acoustic_connector"),
          name);
      expect_near(
          network.semantic_connector(latents.semantic),
          at("semantic_connector"),
          name);
    }
    if (c.has(name + "/acoustic_sampled")) {
      latents.acoustic = flat(at("acoustic_sampled"));
    }
    expect_near(network.features(latents), at("speech_features"), name);
  }
}

TEST_P(Recordings, TokensAreTheReferences) {
  Case c = load_case(GetParam());
  for (const auto& run : c.info["runs"]) {
    auto name = run["name"].get<std::string>();
    SCOPED_TRACE(name);
    RecordingStream stream(c.model, request_of(c, run));
    if (c.has(name + "/acoustic_sampled")) {
      stream.replace_latents(
          {flat(c.golden.at(name + "/acoustic_sampled")),
           flat(c.golden.at(name + "/semantic_mean"))});
    } else if (c.has(name + "/audio_24k_resampled")) {
      stream.replace_latents(
          {flat(c.golden.at(name + "/acoustic_mean")),
           flat(c.golden.at(name + "/semantic_mean"))});
    }
    auto result = collect(stream, {});
    EXPECT_EQ(stream.prompt_ids(), c.ids(name + "/prompt_ids"));
    auto want = c.ids(name + "/token_ids");
    EXPECT_EQ(stream.tokens(), want);
    const Json& golden = run["golden"];
    EXPECT_EQ(stripped(stream.text()), golden["text"].get<std::string>());
    EXPECT_EQ(result.truncated, golden["finish_reason"] == "length");
    if (!golden["segments"].empty()) {
      ASSERT_EQ(result.segments.size(), golden["segments"].size());
      for (size_t i = 0; i < result.segments.size(); ++i) {
        const auto& got = result.segments[i];
        const Json& segment = golden["segments"][i];
        EXPECT_NEAR(got.start, segment["start"].get<double>(), 1e-9);
        EXPECT_NEAR(got.end, segment["end"].get<double>(), 1e-9);
        EXPECT_EQ(got.speaker, segment["speaker_id"].dump());
        EXPECT_EQ(stripped(got.text), segment["text"].get<std::string>());
      }
    }
  }
}

TEST_P(Recordings, FirstScoresAreTheReferences) {
  Case c = load_case(GetParam());
  const Network& network = *c.model->network;
  auto prompt = c.ids("basic/prompt_ids");
  int pad = c.model->ids.speech_pad();
  auto first = std::find(prompt.begin(), prompt.end(), pad) - prompt.begin();
  auto frames = std::count(prompt.begin(), prompt.end(), pad);
  auto before = std::span(prompt).first(static_cast<size_t>(first));
  auto after = std::span(prompt).subspan(static_cast<size_t>(first + frames));
  auto x = mx::concatenate(
      {network.language.embed(before),
       flat(c.golden.at("basic/speech_features")),
       network.language.embed(after)},
      0);
  if (c.has("basic/spliced_embeddings")) {
    expect_near(x, c.golden.at("basic/spliced_embeddings"), "embeddings");
  }
  // At once, and in pieces of seven.
  for (int step : {static_cast<int>(prompt.size()), 7}) {
    Writer writer(network.language, {}, Writer::Penalty::logits);
    for (int from = 0; from < x.shape(0); from += step) {
      int to = std::min(from + step, x.shape(0));
      writer.read(mx::slice(x, {from, 0}, {to, x.shape(1)}));
    }
    expect_near(
        as_array(writer.logits()),
        c.golden.at("basic/first_logits"),
        "logits",
        c.quantized());
  }
}

INSTANTIATE_TEST_SUITE_P(
    VibeVoice,
    Recordings,
    ::testing::ValuesIn(recordings()),
    [](const auto& info) { return info.param; });

// Pieces of any number of frames give what the whole gives.
TEST(Encoders, PiecesAreTheWhole) {
  Case c = load_case("hf");
  const Network& network = *c.model->network;
  auto sound = read_sound(c.folder + "/inputs/a_24k.wav");
  auto samples = Loudness(sound, network.config).apply(sound);
  Network::State whole_state;
  auto whole = network.encode(samples, whole_state);
  for (int frames : {1, 2, 3}) {
    Network::State state;
    std::vector<mx::array> acoustic;
    std::vector<mx::array> semantic;
    auto piece =
        static_cast<size_t>(frames) * static_cast<size_t>(network.config.hop());
    for (size_t at = 0; at < samples.size(); at += piece) {
      auto count = std::min(piece, samples.size() - at);
      auto some = network.encode({samples.data() + at, count}, state);
      acoustic.push_back(some.acoustic);
      semantic.push_back(some.semantic);
    }
    // Sums in another order: f32 rounding.
    auto near = [&](const mx::array& a, const mx::array& b) {
      ASSERT_EQ(a.shape(), b.shape());
      EXPECT_LE(mx::max(mx::abs(a - b)).item<float>(), 1e-5f);
    };
    near(mx::concatenate(acoustic, 0), whole.acoustic);
    near(mx::concatenate(semantic, 0), whole.semantic);
  }
}

TEST(Streaming, ChunksAreTheReferences) {
  Case c = load_case("streaming");
  for (const auto& run : c.info["runs"]) {
    auto name = run["name"].get<std::string>();
    SCOPED_TRACE(name);
    ChunkStream stream(c.model, request_of(c, run));
    std::string text;
    int index = 0;
    const Json& golden = run["golden"];
    while (auto segment = stream.next()) {
      auto number = std::to_string(index);
      expect_near(
          *stream.features(),
          c.golden.at(name + "/features_" + number),
          "features " + number);
      EXPECT_EQ(segment->tokens, c.ids(name + "/token_ids_" + number));
      const Json& want = golden["segments"].at(static_cast<size_t>(index));
      EXPECT_EQ(segment->text, want["text"].get<std::string>());
      EXPECT_NEAR(segment->start, want["start"].get<double>(), 1e-9);
      EXPECT_NEAR(segment->end, want["end"].get<double>(), 1e-9);
      text += segment->text;
      ++index;
    }
    EXPECT_EQ(index, static_cast<int>(golden["segments"].size()));
    EXPECT_EQ(stream.prompt_ids(), c.ids(name + "/prompt_ids"));
    EXPECT_EQ(stripped(text), golden["text"].get<std::string>());
  }
}

} // namespace
} // namespace mlx_audio::vibevoice_asr
