// Whole transcriptions against openai-whisper 20250625 in f32: every run of the
// goldens, token for token, with word times within 20 ms.
#include <gmock/gmock.h>

#include "fixture.h"
#include "mlx_audio/transcription.h"

namespace mlx_audio::whisper {
namespace {

struct Run {
  std::string model;
  int index;
};

std::vector<Run> all_runs() {
  std::vector<Run> runs;
  for (const char* model : {"base", "tiny.en"}) {
    std::ifstream in(data_path(std::string(model) + "/case.json"));
    auto golden = nlohmann::json::parse(in);
    for (size_t i = 0; i < golden["runs"].size(); ++i) {
      runs.push_back({model, static_cast<int>(i)});
    }
  }
  return runs;
}

// f32 is what equals the original; the default may round.
TranscriptionModel& public_model(
    const std::string& name,
    const std::string& dtype = "float32") {
  static std::map<std::string, std::unique_ptr<TranscriptionModel>> models;
  auto& model = models[name + dtype];
  if (!model) {
    auto folder = hub::find_local_model("whisper-" + name);
    model = load_transcription_model(
        folder,
        {.dtype = dtype, .vad_model = hub::find_local_model("silero-vad")});
  }
  return *model;
}

TranscriptionOptions options_of(const nlohmann::json& options) {
  TranscriptionOptions o;
  o.temperatures = {0.0};
  o.word_timestamps = options.value("word_timestamps", false);
  o.beam_size = options.value("beam_size", 1);
  o.timestamps = !options.value("without_timestamps", false);
  o.initial_prompt = options.value("initial_prompt", "");
  o.condition_on_previous_text =
      options.value("condition_on_previous_text", true);
  o.language = options.value("language", "");
  if (options.value("task", "") == "translate") {
    o.task = TranscriptionTask::translate;
  }
  if (options.contains("clip_timestamps")) {
    o.clip_timestamps = {3, 9.5};
  }
  if (options.contains("no_speech_threshold")) {
    o.no_speech_threshold = std::nullopt;
    o.logprob_threshold = std::nullopt;
    o.compression_ratio_threshold = std::nullopt;
  }
  return o;
}

class TranscribeParity : public testing::TestWithParam<Run> {};

TEST_P(TranscribeParity, EqualsOpenAi) {
  std::ifstream in(data_path(GetParam().model + "/case.json"));
  auto golden = nlohmann::json::parse(in);
  const auto& run = golden["runs"][static_cast<size_t>(GetParam().index)];
  Audio audio{clip(run["clip"]), kSampleRate, 1};
  TranscriptionRequest request;
  request.audio = &audio;
  request.options = options_of(run["options"]);
  auto stream = public_model(GetParam().model).transcribe(request);
  auto result = collect(*stream, request.options);

  EXPECT_EQ(result.text, run["text"].get<std::string>());
  EXPECT_EQ(result.language, run["language"].get<std::string>());
  ASSERT_EQ(result.segments.size(), run["segments"].size());
  for (size_t i = 0; i < result.segments.size(); ++i) {
    const auto& ours = result.segments[i];
    const auto& want = run["segments"][i];
    SCOPED_TRACE("segment " + std::to_string(i));
    EXPECT_EQ(ours.tokens, want["tokens"].get<std::vector<int>>());
    EXPECT_EQ(ours.text, want["text"].get<std::string>());
    EXPECT_EQ(ours.seek, want["seek"].get<int64_t>());
    EXPECT_NEAR(ours.start, want["start"].get<double>(), 0.021);
    EXPECT_NEAR(ours.end, want["end"].get<double>(), 0.021);
    // Tolerances of case.json: f32 sums in another order.
    EXPECT_NEAR(ours.avg_logprob, want["avg_logprob"].get<double>(), 2e-3);
    EXPECT_NEAR(
        ours.no_speech_prob, want["no_speech_prob"].get<double>(), 2e-3);
    if (!want.contains("words")) {
      continue;
    }
    ASSERT_EQ(ours.words.size(), want["words"].size());
    for (size_t w = 0; w < ours.words.size(); ++w) {
      const auto& word = want["words"][w];
      EXPECT_EQ(ours.words[w].text, word["word"].get<std::string>());
      EXPECT_NEAR(ours.words[w].start, word["start"].get<double>(), 0.021);
      EXPECT_NEAR(ours.words[w].end, word["end"].get<double>(), 0.021);
      EXPECT_NEAR(
          ours.words[w].probability, word["probability"].get<double>(), 5e-3);
    }
  }
}

std::string run_name(const testing::TestParamInfo<Run>& info) {
  std::ifstream in(data_path(info.param.model + "/case.json"));
  auto golden = nlohmann::json::parse(in);
  std::string name =
      golden["runs"][static_cast<size_t>(info.param.index)]["name"];
  name = info.param.model + "_" + name;
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(
    Goldens,
    TranscribeParity,
    testing::ValuesIn(all_runs()),
    run_name);

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  std::string word;
  for (char c : text + " ") {
    if (std::isalpha(static_cast<unsigned char>(c)) != 0) {
      word += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    } else if (!word.empty()) {
      words.push_back(word);
      word.clear();
    }
  }
  return words;
}

// Edits from one list of words to the other.
size_t edits(
    const std::vector<std::string>& a,
    const std::vector<std::string>& b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j < row.size(); ++j) {
    row[j] = j;
  }
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t up = row[j];
      row[j] =
          std::min({up + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
      diagonal = up;
    }
  }
  return row[b.size()];
}

TEST(WhisperBatched, HearsWhatTheSequentialAlgorithmHears) {
  auto& model = public_model("tiny.en");
  Audio audio{clip("long"), kSampleRate, 1};
  TranscriptionRequest request;
  request.audio = &audio;
  auto one = model.transcribe(request);
  auto sequential = collect(*one, request.options);
  request.options.batch_size = 4;
  request.options.word_timestamps = true;
  auto many = model.transcribe(request);
  auto batched = collect(*many, request.options);
  auto a = words_of(sequential.text);
  auto b = words_of(batched.text);
  // The two cut the sound differently; words at the cuts may differ.
  EXPECT_LE(edits(a, b), a.size() / 12) << batched.text;
  double last = 0;
  for (const auto& segment : batched.segments) {
    EXPECT_GE(segment.end, segment.start);
    EXPECT_GE(segment.start, last - 0.5);
    last = segment.end;
    EXPECT_FALSE(segment.text.empty() != segment.words.empty());
  }
  EXPECT_LE(last, batched.duration + 0.5);
}

TEST(WhisperLive, AgreesWithTheWholeAndKeepsTime) {
  auto& model = public_model("tiny.en");
  auto samples = clip("en1");
  samples.insert(samples.end(), 2 * kSampleRate, 0.0f);
  auto session = model.listen({});
  std::string text;
  std::vector<TranscribedWord> words;
  for (size_t at = 0; at < samples.size(); at += kSampleRate) {
    size_t count = std::min<size_t>(kSampleRate, samples.size() - at);
    session->feed({samples.data() + at, count});
    if (auto update = session->step()) {
      words.insert(words.end(), update->words.begin(), update->words.end());
    }
  }
  auto rest = session->close();
  words.insert(words.end(), rest.words.begin(), rest.words.end());
  for (const auto& word : words) {
    text += word.text;
  }
  auto want = words_of(
      "And Mr. John Dashwood had then leisure to consider how much there might "
      "be prudently in his power to do for them.");
  EXPECT_LE(edits(words_of(text), want), 2u) << text;
  double last = 0;
  for (const auto& word : words) {
    EXPECT_GE(word.start, last - 0.3) << word.text;
    last = word.start;
  }
  EXPECT_NEAR(words.back().end, 6.6, 0.6);
}

} // namespace
} // namespace mlx_audio::whisper
