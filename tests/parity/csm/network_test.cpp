// The network against the reference on tiny checkpoints: prompts, logits, codes
// and samples. Tolerance 3e-4 of 1 + |golden|: f32 rounding over a few layers
// measures up to about 2e-5 here; codes and ids are exact.
#include <fstream>

#include <gtest/gtest.h>

#include "cases.h"
#include "models/csm/generator.h"
#include "models/csm/prompt.h"
#include "models/csm/text_ids.h"

namespace mlx_audio::csm {
namespace {

constexpr double kTolerance = 3e-4;
constexpr float kSamples = 5e-4f;

bool speaks(const Json& info) {
  return info["expect"] == "ok" && info["task"] == "tts";
}

bool codes_only(const Json& info) {
  return info["task"] == "codec";
}

std::string text_file(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

class Parity : public ::testing::TestWithParam<std::string> {
 protected:
  void expect_close(const std::string& tensor, const mx::array& value) {
    if (case_.has(tensor)) {
      ++compared_;
      EXPECT_LE(largest_difference(value, case_.tensor(tensor)), kTolerance)
          << tensor;
    }
  }

  // The recordings that the case's prompt holds, as (speaker, text, path).
  std::vector<std::tuple<int, std::string, std::string>> recordings() const {
    const Json& p = case_.info["params"];
    std::vector<std::tuple<int, std::string, std::string>> list;
    for (const auto& s : p.value("context", Json::array())) {
      list.emplace_back(
          s["speaker"].get<int>(),
          s["text"].get<std::string>(),
          case_.folder + "/" + s["audio"].get<std::string>());
    }
    if (p.contains("ref_audio")) {
      list.emplace_back(
          p["speaker"].get<int>(),
          p["ref_text"].get<std::string>(),
          case_.folder + "/" + p["ref_audio"].get<std::string>());
    }
    if (p.contains("voice")) {
      auto path =
          case_.checkpoint() + "/prompts/" + p["voice"].get<std::string>();
      list.emplace_back(0, text_file(path + ".txt"), path + ".wav");
    }
    return list;
  }

  Case case_ = load_case(GetParam());
  int compared_ = 0;
};

class CsmParity : public Parity {};
class MimiParity : public Parity {};

TEST_P(CsmParity, MakesTheReferencesCodesAndSamples) {
  const Network& network = network_of(case_);
  const Json& params = case_.info["params"];
  TextIds ids(case_.checkpoint(), network.config);
  int speaker = params["speaker"].get<int>();
  auto text = params["text"].get<std::string>();
  EXPECT_EQ(ids.said(speaker, text), case_.ids("prompt.text_ids"));

  bool match = params["voice_match"].get<bool>();
  std::vector<Segment> context;
  int index = 0;
  for (const auto& [who, said, path] : recordings()) {
    auto codes = network.codec->encode(read_pcm16(path));
    EXPECT_TRUE(
        mx::array_equal(
            codes, case_.tensor("ref_codes." + std::to_string(index++)))
            .item<bool>());
    context.push_back(
        {match ? ids.said(speaker, said + " " + text) : ids.said(who, said),
         codes,
         !match});
  }
  auto prompt = make_prompt(
      network.talker,
      context,
      match ? std::vector<int>{} : ids.said(speaker, text));
  expect_close("prompt.input_embeds", prompt);

  Settings settings;
  settings.first.temperature = settings.others.temperature = 0;
  settings.max_frames = params["max_audio_length_ms"].get<int>() / 80;
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
      case_.info["notes"]["stopped_by_end_frame"].get<bool>());
  for (size_t i = 0; i < 3 && i < trace.logits.size(); ++i) {
    auto n = std::to_string(i);
    expect_close("backbone.hidden." + n, as_array(trace.hidden[i]));
    expect_close("codebook0.logits." + n, as_array(trace.logits[i]));
  }
  const auto& depth = case_.tensor("decoder.logits.0");
  ASSERT_EQ(static_cast<int>(trace.depth.size()), depth.shape(0));
  for (int i = 0; i < depth.shape(0); ++i) {
    EXPECT_LE(
        largest_difference(as_array(trace.depth[i]), mx::take(depth, i, 0)),
        kTolerance)
        << "depth step " << i;
  }
  EXPECT_EQ(compared_, 7);
  ASSERT_EQ(codes, case_.ids("codes"));

  int groups = network.config.groups;
  auto frames = mx::array(
      codes.data(), {static_cast<int>(codes.size()) / groups, groups});
  codecs::mimi::Decoder::State state;
  auto samples = network.codec->decode(frames, state);
  const auto& audio = case_.tensor("audio");
  ASSERT_EQ(samples.shape(), audio.shape());
  EXPECT_LE(mx::max(mx::abs(audio - samples)).item<float>(), kSamples);
}

TEST_P(CsmParity, DecodesLayerByLayer) {
  const Network& network = network_of(case_);
  codecs::mimi::Decoder::State state;
  codecs::mimi::Taps taps;
  network.codec->decoder()(case_.tensor("decoder.codes"), state, &taps);
  for (const auto& [name, value] : taps) {
    expect_close("decoder." + name, mx::transpose(value));
  }
  EXPECT_EQ(compared_, 4);
}

INSTANTIATE_TEST_SUITE_P(
    Cases,
    CsmParity,
    ::testing::ValuesIn(case_names(speaks)),
    [](const auto& info) { return info.param; });

// Longer than the transformer's window.
TEST_P(MimiParity, EncodesAndDecodesAsTheReference) {
  const Network& network = network_of(case_);
  const auto& codec = *network.codec;
  codecs::mimi::Taps taps;
  auto path =
      case_.folder + "/" + case_.info["params"]["ref_audio"].get<std::string>();
  auto codes = codec.encode(read_pcm16(path), &taps);
  for (const auto& [name, value] : taps) {
    expect_close("encoder." + name, mx::transpose(value));
  }
  EXPECT_TRUE(mx::array_equal(codes, case_.tensor("ref_codes.0")).item<bool>());

  const auto& given = case_.tensor("input_codes");
  codecs::mimi::Decoder::State whole;
  taps.clear();
  codec.decoder()(given, whole, &taps);
  for (const auto& [name, value] : taps) {
    expect_close("decoder." + name, mx::transpose(value));
  }
  EXPECT_EQ(compared_, 6);
  codecs::mimi::Decoder::State state;
  auto samples = codec.decode(given, state);
  auto far = [](const mx::array& a, const mx::array& b) {
    return mx::max(mx::abs(a - b)).item<float>();
  };
  EXPECT_LE(far(samples, case_.tensor("audio")), kSamples);

  // Pieces of any length give the same samples as the whole.
  codecs::mimi::Decoder::State streamed;
  std::vector<mx::array> pieces;
  int at = 0;
  for (int frames : {1, 2, 1, 5, 7, 1, 7}) {
    auto piece = mx::slice(given, {at, 0}, {at + frames, given.shape(1)});
    pieces.push_back(codec.decode(piece, streamed));
    at += frames;
  }
  ASSERT_EQ(at, given.shape(0));
  EXPECT_LE(far(mx::concatenate(pieces, 0), samples), 2e-6f);
}

INSTANTIATE_TEST_SUITE_P(
    Cases,
    MimiParity,
    ::testing::ValuesIn(case_names(codes_only)),
    [](const auto& info) { return info.param; });

} // namespace
} // namespace mlx_audio::csm
