// Requests that run together, join late and leave early give the codes that
// each gives alone.
#include <gtest/gtest.h>

#include "cases.h"
#include "models/csm/generator.h"
#include "models/csm/prompt.h"
#include "models/csm/text_ids.h"

namespace mlx_audio::csm {
namespace {

using Codes = std::vector<std::vector<int>>;

Codes alone(
    const Network& network,
    const mx::array& prompt,
    const Settings& settings) {
  Generator generator(network.talker, network.config);
  generator.add(prompt, settings);
  Codes codes;
  while (generator.size() > 0) {
    codes.push_back(generator.step().at(0).codes);
  }
  return codes;
}

struct Requests {
  std::vector<mx::array> prompts;
  std::vector<Settings> settings;
};

Requests different(const Case& c, const Network& network) {
  TextIds ids(c.checkpoint(), network.config);
  Requests requests;
  for (int i = 0; i < 4; ++i) {
    std::string text = i % 2 == 0 ? "Hello." : "A longer text than the other.";
    requests.prompts.push_back(
        make_prompt(network.talker, {}, ids.said(i, text)));
    Settings settings;
    settings.first = {.temperature = i == 2 ? 0.9f : 0.0f, .top_k = 5};
    settings.others = settings.first;
    settings.seed = 5;
    settings.max_frames = settings.min_frames = 6 + 5 * i;
    requests.settings.push_back(settings);
  }
  return requests;
}

TEST(CsmBatching, EachRequestGetsWhatItGetsAlone) {
  for (const char* name : {"clone_hf", "clone_q4_mlx"}) {
    Case c = load_case(name);
    const Network& network = network_of(c);
    auto [prompts, settings] = different(c, network);
    std::vector<Codes> together(prompts.size());
    Generator generator(network.talker, network.config);
    size_t next = 0;
    for (int step = 0; next < prompts.size() || generator.size() > 0; ++step) {
      // A new request at every third frame.
      if (step % 3 == 0 && next < prompts.size()) {
        generator.add(prompts[next], settings[next]);
        ++next;
      }
      for (const auto& frame : generator.step()) {
        together.at(static_cast<size_t>(frame.id)).push_back(frame.codes);
      }
    }
    for (size_t i = 0; i < prompts.size(); ++i) {
      EXPECT_EQ(together[i], alone(network, prompts[i], settings[i]))
          << name << " " << i;
      EXPECT_EQ(together[i].size(), 6 + 5 * i) << name;
    }
  }
}

TEST(CsmBatching, ARemovedRequestLeavesTheOthersAsTheyAre) {
  Case c = load_case("clone_q4_mlx");
  const Network& network = network_of(c);
  auto requests = different(c, network);
  const auto& prompt = requests.prompts[1];
  const auto& settings = requests.settings[1];
  FrameLoop<Generator> loop(network.talker, network.config);
  int gone = loop.add(prompt, settings);
  int kept = loop.add(prompt, settings);
  Codes codes;
  for (int i = 0; i < settings.max_frames; ++i) {
    if (i == 3) {
      loop.remove(gone);
    }
    codes.push_back(loop.next(kept).codes);
  }
  EXPECT_EQ(codes, alone(network, prompt, settings));
}

} // namespace
} // namespace mlx_audio::csm
