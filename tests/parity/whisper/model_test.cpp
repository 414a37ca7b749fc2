#include "fixture.h"

namespace mlx_audio::whisper {
namespace {

class WhisperParity : public testing::TestWithParam<const char*> {
 protected:
  const Reference& r() const {
    return reference(GetParam());
  }
  EncodedWindows first_window() const {
    auto mel = window_mel(r(), clip("en1"));
    return encode_windows(*r().model, mel);
  }
};

TEST_P(WhisperParity, LogMel) {
  auto samples = clip("en1");
  const auto& golden = r().golden.at("mel"); // [n_mels, frames]
  auto mel = window_mel(r(), samples);
  auto ours = mx::transpose(
      mx::slice(
          mx::squeeze(mel, 0), {0, 0}, {golden.shape(1), r().config.n_mels}));
  // 1e-4 is the bound; f32 transforms differ by about 2e-5.
  EXPECT_LT(max_difference(ours, golden), 1e-4f);

  // transcribe() takes its mel over the clip and 30 s of silence.
  LogMel log_mel(r().config.n_mels);
  auto with_silence = log_mel.frames(samples, 0, 0, golden.shape(1));
  auto top = mx::max(with_silence).item<float>();
  EXPECT_LT(
      max_difference(
          mx::transpose(normalize_log_mel(with_silence, top)),
          r().golden.at("mel_transcribe")),
      1e-4f);
}

TEST_P(WhisperParity, Encoder) {
  auto windows = first_window();
  auto rows = mx::take(
      mx::squeeze(windows.audio, 0), r().golden.at("encoder_rows_at"), 0);
  // As stated in case.json: f32 sums in another order.
  EXPECT_LT(max_difference(rows, r().golden.at("encoder_rows")), 2e-3f);
}

TEST_P(WhisperParity, ForcedLogits) {
  auto windows = first_window();
  const auto& tokens = r().golden.at("forced_tokens");
  DecoderState state(*r().model, windows.memory, 1);
  auto logits = mx::squeeze(
      r().model->logits(r().model->decode(mx::expand_dims(tokens, 0), state)),
      0);
  auto ours = mx::take_along_axis(logits, r().golden.at("forced_top_ids"), 1);
  EXPECT_LT(max_difference(ours, r().golden.at("forced_top_logits")), 5e-3f);

  // The same one token at a time, through the cache.
  DecoderState steps(*r().model, windows.memory, 1);
  for (int i = 0; i < tokens.shape(0); ++i) {
    auto one = mx::reshape(mx::slice(tokens, {i}, {i + 1}), {1, 1});
    auto row = r().model->logits(r().model->decode(one, steps));
    auto top = mx::take(
        mx::reshape(row, {-1}),
        mx::slice(r().golden.at("forced_top_ids"), {i, 0}, {i + 1, 10}),
        0);
    auto want =
        mx::slice(r().golden.at("forced_top_logits"), {i, 0}, {i + 1, 10});
    EXPECT_LT(max_difference(top, want), 5e-3f) << "step " << i;
  }
}

DecodeOptions usual_options(const WhisperTokenizer& t) {
  DecodeOptions options;
  options.suppress = t.non_speech_tokens();
  for (int id :
       {t.transcribe, t.translate, t.sot, t.sot_prev, t.sot_lm, t.no_speech}) {
    options.suppress.push_back(id);
  }
  return options;
}

TEST_P(WhisperParity, DecodesTheFirstWindow) {
  auto windows = first_window();
  const auto& want = r().golden_case["decode_first"];
  const auto& t = *r().tokenizer;
  auto options = usual_options(t);
  std::mt19937_64 random(0);
  auto result = decode_windows(*r().model, t, windows, options, random).front();
  EXPECT_EQ(result.tokens, want["tokens"].get<std::vector<int>>());
  EXPECT_EQ(result.text, want["text"].get<std::string>());
  EXPECT_NEAR(result.avg_logprob, want["avg_logprob"].get<double>(), 2e-3);
  EXPECT_NEAR(
      result.no_speech_prob, want["no_speech_prob"].get<double>(), 2e-3);
  EXPECT_NEAR(
      result.compression_ratio, want["compression_ratio"].get<double>(), 1e-5);
}

TEST_P(WhisperParity, GoesOnFromWhatWasHeard) {
  auto windows = first_window();
  const auto& t = *r().tokenizer;
  auto options = usual_options(t);
  std::mt19937_64 random(0);
  auto whole = decode_windows(*r().model, t, windows, options, random).front();
  // From the last time that text follows.
  auto at = whole.tokens.size() - 1;
  while (at > 0 &&
         !(whole.tokens[at - 1] >= t.timestamp_begin &&
           whole.tokens[at] < t.eot)) {
    --at;
  }
  ASSERT_GT(at, 0u);
  auto cut = whole.tokens.begin() + static_cast<std::ptrdiff_t>(at);
  options.resume.assign(whole.tokens.begin(), cut);
  auto rest = decode_windows(*r().model, t, windows, options, random).front();
  EXPECT_EQ(rest.tokens, std::vector<int>(cut, whole.tokens.end()));
  // Where all is said, it is asked to say more all the same.
  options.resume = whole.tokens;
  options.max_tokens = static_cast<int>(whole.tokens.size()) + 1;
  rest = decode_windows(*r().model, t, windows, options, random).front();
  EXPECT_EQ(rest.tokens.size(), 1u);
  options.beam_size = 5;
  rest = decode_windows(*r().model, t, windows, options, random).front();
  EXPECT_EQ(rest.tokens.size(), 1u);
}

TEST_P(WhisperParity, DetectsLanguages) {
  if (!r().config.multilingual()) {
    EXPECT_EQ(r().tokenizer->sot_sequence("en", Task::transcribe).size(), 1u);
    return;
  }
  for (const char* name :
       {"en1", "es_es_slow", "fr_fr", "hi_hi", "ja_ja", "zh_zh"}) {
    auto windows = encode_windows(*r().model, window_mel(r(), clip(name)));
    auto guesses = detect_language(*r().model, *r().tokenizer, windows);
    std::map<std::string, double> ours;
    for (const auto& guess : guesses) {
      ours[guess.code] = guess.probability;
    }
    for (const auto& [code, p] :
         r().golden_case["language_top8"][name].items()) {
      EXPECT_NEAR(ours[code], p.get<double>(), 2e-3) << name << " " << code;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Models,
    WhisperParity,
    testing::Values("base", "tiny.en"),
    [](const auto& info) {
      return std::string(info.param) == "base" ? "base" : "tiny_en";
    });

} // namespace
} // namespace mlx_audio::whisper
