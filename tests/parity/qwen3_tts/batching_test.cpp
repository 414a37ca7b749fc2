// Requests that run together, join late and leave early give the codes that
// each gives alone.
#include <gtest/gtest.h>

#include "cases.h"
#include "models/qwen3_tts/generator.h"
#include "models/qwen3_tts/speech_model.h"

namespace mlx_audio::qwen3_tts {
namespace {

std::vector<int>
alone(const Network& network, const Prompt& prompt, const Settings& settings) {
  Generator generator(network.talker, network.config);
  generator.add(prompt, settings);
  std::vector<int> codes;
  while (generator.size() > 0) {
    auto frame = generator.step().at(0);
    codes.insert(codes.end(), frame.codes.begin(), frame.codes.end());
  }
  return codes;
}

TEST(Batching, EachRequestGetsWhatItGetsAlone) {
  Case c = load_case("custom_voice_q4_mlx");
  const Network& network = network_of(c);
  auto text = c.ids("prompt.text_ids");
  auto longer = text;
  longer.insert(longer.begin() + 4, text.begin() + 3, text.end() - 5);
  Settings greedy;
  greedy.talker.temperature = 0;
  greedy.talker.repetition_penalty = 1.05f;
  greedy.subtalker.temperature = 0;
  Settings sampled;
  sampled.talker.top_k = 50;
  sampled.seed = 5;
  std::vector<Prompt> prompts;
  std::vector<Settings> settings;
  int index = 0;
  for (const char* speaker : {"vivian", "ryan", "eric", "serena"}) {
    PromptRequest request;
    request.text_ids = index % 2 == 0 ? text : longer;
    request.speaker = speaker;
    request.whole_text_first = index != 1;
    prompts.push_back(make_prompt(network.talker, network.config, request));
    settings.push_back(index == 2 ? sampled : greedy);
    settings.back().max_frames = 6 + 5 * index;
    ++index;
  }
  std::vector<std::vector<int>> together(prompts.size());
  Generator generator(network.talker, network.config);
  std::vector<int> ids;
  size_t next = 0;
  for (int step = 0; next < prompts.size() || generator.size() > 0; ++step) {
    // A new request at every third frame.
    if (step % 3 == 0 && next < prompts.size()) {
      ids.push_back(generator.add(prompts[next], settings[next]));
      ++next;
    }
    for (const auto& frame : generator.step()) {
      auto& codes = together.at(static_cast<size_t>(frame.id));
      codes.insert(codes.end(), frame.codes.begin(), frame.codes.end());
    }
  }
  for (size_t i = 0; i < prompts.size(); ++i) {
    EXPECT_EQ(together[i], alone(network, prompts[i], settings[i])) << i;
    EXPECT_FALSE(together[i].empty()) << i;
  }
}

TEST(Batching, ARemovedRequestLeavesTheOthersAsTheyAre) {
  Case c = load_case("custom_voice_q4_mlx");
  const Network& network = network_of(c);
  PromptRequest request;
  request.text_ids = c.ids("prompt.text_ids");
  request.speaker = "vivian";
  auto prompt = make_prompt(network.talker, network.config, request);
  Settings greedy;
  greedy.talker.temperature = 0;
  greedy.subtalker.temperature = 0;
  greedy.max_frames = 8;
  Generator generator(network.talker, network.config);
  int gone = generator.add(prompt, greedy);
  int kept = generator.add(prompt, greedy);
  std::vector<int> codes;
  for (int step = 0; generator.size() > 0; ++step) {
    if (step == 3) {
      generator.remove(gone);
    }
    for (const auto& frame : generator.step()) {
      if (frame.id == kept) {
        codes.insert(codes.end(), frame.codes.begin(), frame.codes.end());
      }
    }
  }
  EXPECT_EQ(codes, alone(network, prompt, greedy));
}

std::vector<float> spoken(SpeechStream& stream) {
  std::vector<float> samples;
  while (auto chunk = stream.next()) {
    samples.insert(samples.end(), chunk->samples.begin(), chunk->samples.end());
  }
  return samples;
}

std::vector<SpeechRequest> different_requests() {
  std::vector<SpeechRequest> requests;
  int index = 0;
  for (const char* voice : {"vivian", "ryan", "eric"}) {
    SpeechRequest request;
    request.text = index == 1 ? "A much longer text, which goes on, for one."
                              : "Hello there.";
    request.voice = voice;
    request.seed = 7 + index;
    request.low_latency = index != 0;
    request.sampling.temperature = index == 2 ? 0.9f : 0.0f;
    request.sampling.max_tokens = 10 + 9 * index;
    request.sampling.min_new_tokens = request.sampling.max_tokens;
    requests.push_back(request);
    ++index;
  }
  return requests;
}

// Streams of one model that are pulled in turn are one batch.
TEST(Batching, StreamsPulledInTurnSayWhatEachSaysAlone) {
  Case c = load_case("custom_voice_q4_mlx");
  auto folder = c.folder + "/" + c.info["checkpoint"].get<std::string>();
  auto model = load_speech_model(folder, {});
  auto requests = different_requests();
  std::vector<std::vector<float>> alone;
  for (const auto& request : requests) {
    alone.push_back(spoken(*model->synthesize(request)));
  }
  std::vector<std::unique_ptr<SpeechStream>> streams;
  std::vector<std::vector<float>> together(requests.size());
  for (size_t turn = 0; turn < 40; ++turn) {
    if (turn < requests.size()) {
      streams.push_back(model->synthesize(requests[turn]));
    }
    for (size_t i = 0; i < streams.size(); ++i) {
      if (auto chunk = streams[i]->next()) {
        auto& samples = together[i];
        samples.insert(
            samples.end(), chunk->samples.begin(), chunk->samples.end());
      }
    }
  }
  for (size_t i = 0; i < requests.size(); ++i) {
    ASSERT_EQ(together[i].size(), alone[i].size()) << i;
    for (size_t t = 0; t < alone[i].size(); ++t) {
      ASSERT_NEAR(together[i][t], alone[i][t], 1e-5f) << i << " " << t;
    }
  }
}

TEST(Batching, AFramePerStepForAllAndNoneRunsFarAhead) {
  Case c = load_case("custom_voice_q4_mlx");
  const Network& network = network_of(c);
  PromptRequest request;
  request.text_ids = c.ids("prompt.text_ids");
  request.speaker = "vivian";
  auto prompt = make_prompt(network.talker, network.config, request);
  Settings settings;
  settings.max_frames = settings.min_frames = 60;
  FrameLoop<Generator> loop(network.talker, network.config);
  int pulled = loop.add(prompt, settings);
  int waiting = loop.add(prompt, settings);
  std::vector<std::vector<int>> first;
  for (int i = 0; i < 60; ++i) {
    first.push_back(loop.next(pulled).codes);
  }
  EXPECT_EQ(loop.steps(), 60);
  // The same seed and settings, 25 frames of which are ready.
  for (int i = 0; i < 60; ++i) {
    EXPECT_EQ(loop.next(waiting).codes, first[i]) << i;
  }
  EXPECT_EQ(loop.steps(), 60 + 60 - 25);
}

} // namespace
} // namespace mlx_audio::qwen3_tts
