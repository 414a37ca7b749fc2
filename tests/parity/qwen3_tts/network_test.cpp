// The network against the reference on tiny checkpoints: prompts, logits, codes
// and samples. Tolerance 3e-4 of 1 + |golden|: f32 rounding over a few layers
// measures up to about 2e-5 here; codes and ids are exact.
#include <filesystem>

#include <gtest/gtest.h>

#include "cases.h"
#include "checkpoint/json.h"
#include "models/qwen3_tts/generator.h"
#include "models/qwen3_tts/prompt.h"
#include "nn/load.h"

namespace mlx_audio::qwen3_tts {
namespace {

constexpr double kTolerance = 3e-4;

bool speaks(const Json& info) {
  return info["expect"] == "ok" && info["task"] != "codec" &&
      info["task"] != "sampler";
}

std::string lower(std::string text) {
  for (char& c : text) {
    c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return text;
}

class Qwen3TtsParity : public ::testing::TestWithParam<std::string> {
 protected:
  void expect_close(const char* tensor, const mx::array& value) {
    if (case_.has(tensor)) {
      EXPECT_LE(largest_difference(value, case_.tensor(tensor)), kTolerance)
          << tensor;
    }
  }

  mx::array speaker_vector(const Network& network, const mx::array& samples) {
    auto mel = speaker_mel(samples, 128);
    expect_close("speaker_mel", mel);
    auto vector = (*network.speaker_encoder)(mel);
    expect_close("speaker_embedding", vector);
    return vector;
  }

  SpokenContext context(const Network& network, const mx::array& samples) {
    codecs::mimi::Taps taps;
    auto codes = network.tokenizer->encode(samples, &taps);
    expect_close("encoder.seanet", mx::transpose(taps.at("seanet")));
    expect_close("encoder.transformer", mx::transpose(taps.at("transformer")));
    expect_close("encoder.downsample", mx::transpose(taps.at("downsample")));
    EXPECT_TRUE(mx::array_equal(codes, case_.tensor("ref_codes")).item<bool>());
    return {codes, case_.ids("prompt.ref_text_ids")};
  }

  Case case_ = load_case(GetParam());
};

TEST_P(Qwen3TtsParity, MakesTheReferencesCodesAndSamples) {
  const Network& network = network_of(case_);
  const Json& params = case_.info["params"];
  std::optional<SpokenContext> spoken;
  PromptRequest request;
  request.text_ids = case_.ids("prompt.text_ids");
  request.language = params["language"].get<std::string>();
  request.whole_text_first =
      params.value("non_streaming_mode", network.config.kind != Kind::base);
  if (case_.has("prompt.instruct_ids")) {
    request.instruct_ids = case_.ids("prompt.instruct_ids");
  }
  if (network.config.kind == Kind::custom_voice) {
    request.speaker = lower(params["voice"].get<std::string>());
    if (network.config.small) {
      request.instruct_ids.clear();
    }
  }
  if (network.config.kind == Kind::base) {
    auto samples =
        read_pcm16(case_.folder + "/" + params["ref_audio"].get<std::string>());
    request.voice = speaker_vector(network, samples);
    if (!params["x_vector_only_mode"].get<bool>()) {
      spoken = context(network, samples);
      request.context = &*spoken;
    }
  }
  auto prompt = make_prompt(network.talker, network.config, request);
  expect_close("prompt.input_embeds", prompt.embeds);
  expect_close("trailing_text_embeds", prompt.trailing);

  Settings settings;
  settings.talker.temperature = 0;
  settings.subtalker.temperature = 0;
  settings.talker.repetition_penalty =
      params["repetition_penalty"].get<float>();
  settings.max_frames = params["max_tokens"].get<int>();
  Trace trace;
  Generator generator(network.talker, network.config);
  generator.add(prompt, settings, &trace);
  std::vector<int> codes;
  Finish finish = Finish::none;
  while (finish == Finish::none) {
    auto frames = generator.step();
    ASSERT_EQ(frames.size(), 1u);
    codes.insert(codes.end(), frames[0].codes.begin(), frames[0].codes.end());
    finish = frames[0].finish;
  }
  EXPECT_EQ(generator.size(), 0u);
  EXPECT_EQ(
      finish == Finish::stop,
      case_.info["notes"]["stopped_by_end_code"].get<bool>());
  for (size_t i = 0; i < 3 && i < trace.logits.size(); ++i) {
    expect_close(
        ("talker.hidden." + std::to_string(i)).c_str(),
        as_array(trace.hidden[i]));
    expect_close(
        ("talker.logits." + std::to_string(i)).c_str(),
        as_array(trace.logits[i]));
  }
  const auto& predictor = case_.tensor("predictor.logits.0");
  for (int i = 0; i < predictor.shape(0); ++i) {
    EXPECT_LE(
        largest_difference(
            as_array(trace.predictor.at(i)), mx::take(predictor, i, 0)),
        kTolerance)
        << "predictor step " << i;
  }
  ASSERT_EQ(codes, case_.ids("codes"));

  // Samples: the recording's frames go through the decoder first.
  int groups = network.config.groups;
  codecs::qwen3::Decoder::State state;
  size_t skip = 0;
  if (spoken) {
    skip = network.tokenizer->decode(spoken->codes, state).size();
  }
  auto frames = mx::array(
      codes.data(), {static_cast<int>(codes.size()) / groups, groups});
  auto samples = network.tokenizer->decode(frames, state);
  const auto& audio = case_.tensor("audio");
  // The original cuts the recording off by a rounded-down fraction, which may
  // leave one sample of it.
  int extra = audio.shape(0) - samples.shape(0);
  ASSERT_TRUE(extra == 0 || (extra == 1 && skip > 0)) << extra;
  auto rest = mx::slice(audio, {extra}, {audio.shape(0)});
  EXPECT_LE(mx::max(mx::abs(rest - samples)).item<float>(), 5e-4f);
}

TEST_P(Qwen3TtsParity, DecodesLayerByLayer) {
  if (!case_.has("decoder.codes")) {
    SUCCEED() << "this case keeps no stages";
    return;
  }
  const Network& network = network_of(case_);
  codecs::qwen3::Decoder::State state;
  codecs::qwen3::Taps taps;
  network.tokenizer->decoder()(case_.tensor("decoder.codes"), state, &taps);
  EXPECT_GE(taps.size(), 10u);
  for (const auto& [name, value] : taps) {
    expect_close(("decoder." + name).c_str(), value);
  }
}

// The last blocks in slices of a row each, as they never come in tiny
// checkpoints by themselves.
TEST_P(Qwen3TtsParity, DecodesInSlices) {
  if (!case_.has("decoder.codes")) {
    SUCCEED() << "this case keeps no stages";
    return;
  }
  const auto folder = std::filesystem::path(case_.folder) /
      case_.info["checkpoint"].get<std::string>() / "speech_tokenizer";
  auto config = codecs::qwen3::parse_config(
      checkpoint::read_json(folder / "config.json"));
  config.decoder.slice = 1;
  auto loaded = nn::load_weights(folder.string());
  codecs::qwen3::Tokenizer tokenizer(
      loaded.weights, loaded.conv_layout, config, false);
  const auto& codes = case_.tensor("decoder.codes");
  codecs::qwen3::Decoder::State whole;
  codecs::qwen3::Decoder::State sliced;
  auto want = network_of(case_).tokenizer->decode(codes, whole);
  auto got = tokenizer.decode(codes, sliced);
  // f32 sums in another order.
  EXPECT_LE(mx::max(mx::abs(got - want)).item<float>(), 1e-6f);
}

INSTANTIATE_TEST_SUITE_P(
    Cases,
    Qwen3TtsParity,
    ::testing::ValuesIn(case_names(speaks)),
    [](const auto& info) { return info.param; });

} // namespace
} // namespace mlx_audio::qwen3_tts
