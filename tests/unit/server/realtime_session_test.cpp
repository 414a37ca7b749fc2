#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "realtime_fakes.h"

namespace mlx_audio::server {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kOf = "conversation.item.input_audio_transcription.";

TEST(RealtimeSession, GreetsWithItsSettings) {
  Stage stage;
  stage.open();
  const auto& first = stage.peer->messages.at(0);
  EXPECT_EQ(first["type"], "session.created");
  EXPECT_EQ(first["event_id"].get<std::string>().rfind("event_", 0), 0u);
  const auto& session = first["session"];
  EXPECT_EQ(session["type"], "transcription");
  EXPECT_EQ(session["object"], "realtime.transcription_session");
  EXPECT_EQ(session["id"].get<std::string>().rfind("sess_", 0), 0u);
  EXPECT_EQ(session["expires_at"], 1000 + 3600);
  const auto& input = session["audio"]["input"];
  EXPECT_EQ(input["format"], Json({{"type", "audio/pcm"}, {"rate", 24000}}));
  EXPECT_EQ(input["transcription"]["model"], "tiny");
  EXPECT_EQ(input["turn_detection"]["type"], "server_vad");
  EXPECT_EQ(input["turn_detection"]["threshold"], 0.5);
  EXPECT_EQ(input["turn_detection"]["prefix_padding_ms"], 300);
  EXPECT_EQ(input["turn_detection"]["silence_duration_ms"], 500);
  EXPECT_TRUE(input["noise_reduction"].is_null());
  EXPECT_EQ(stage.listeners, 0); // nothing is loaded for an idle client
}

TEST(RealtimeSession, DetectsTurnsAndTranscribesThem) {
  Stage stage;
  stage.open();
  stage.append(1.0, 0);
  stage.append(2.0, 0.5f);
  stage.append(1.0, 0);
  const auto& peer = *stage.peer;
  auto started = peer.find("input_audio_buffer.speech_started");
  auto stopped = peer.find("input_audio_buffer.speech_stopped");
  // The prefix of 300 ms is part of the turn, and the silence that ends it.
  EXPECT_NEAR(started["audio_start_ms"].get<int>(), 700, 40);
  EXPECT_NEAR(stopped["audio_end_ms"].get<int>(), 3500, 70);
  auto id = started["item_id"];
  EXPECT_EQ(stopped["item_id"], id);
  auto committed = peer.find("input_audio_buffer.committed");
  EXPECT_EQ(committed["item_id"], id);
  EXPECT_TRUE(committed["previous_item_id"].is_null());
  auto added = peer.find("conversation.item.added");
  EXPECT_EQ(added["item"]["id"], id);
  EXPECT_EQ(added["item"]["role"], "user");
  EXPECT_EQ(added["item"]["content"][0]["type"], "input_audio");
  auto completed = peer.find(kOf + "completed");
  EXPECT_EQ(completed["item_id"], id);
  EXPECT_EQ(completed["content_index"], 0);
  EXPECT_EQ(completed["usage"]["type"], "duration");
  EXPECT_NEAR(completed["usage"]["seconds"].get<double>(), 2.8, 0.1);
  EXPECT_EQ(completed["languages"][0]["code"], "en");
  // Deltas make up the transcript, and begin while the turn goes on.
  std::string text;
  for (const auto& message : peer.messages) {
    if (message["type"] == kOf + "delta") {
      EXPECT_EQ(message["item_id"], id);
      EXPECT_FALSE(message.contains("pending"));
      text += message["delta"].get<std::string>();
    }
  }
  EXPECT_EQ(text, "one two three four five");
  EXPECT_EQ(completed["transcript"], text);
  auto types = peer.types();
  auto place = [&](const std::string& type) {
    return std::find(types.begin(), types.end(), type) - types.begin();
  };
  EXPECT_LT(place("input_audio_buffer.speech_started"), place(kOf + "delta"));
  EXPECT_LT(place(kOf + "delta"), place("input_audio_buffer.speech_stopped"));
  EXPECT_LT(
      place("input_audio_buffer.speech_stopped"),
      place("input_audio_buffer.committed"));
  EXPECT_LT(
      place("input_audio_buffer.committed"), place("conversation.item.added"));
  EXPECT_LT(place("conversation.item.added"), place(kOf + "completed"));
}

TEST(RealtimeSession, CutsManyTurnsOutOfOneAppend) {
  Stage stage;
  stage.open();
  std::vector<uint8_t> sound;
  for (float level : {0.0f, 0.5f, 0.0f, 0.5f, 0.0f}) {
    auto part = Stage::pcm(1.0, level, 24000);
    sound.insert(sound.end(), part.begin(), part.end());
  }
  stage.send(
      {{"type", "input_audio_buffer.append"}, {"audio", to_base64(sound)}});
  std::vector<std::string> items;
  std::vector<std::string> done;
  for (const auto& message : stage.peer->messages) {
    if (message["type"] == "input_audio_buffer.committed") {
      if (!items.empty()) {
        EXPECT_EQ(message["previous_item_id"], items.back());
      }
      items.push_back(message["item_id"]);
    } else if (message["type"] == kOf + "completed") {
      done.push_back(message["item_id"]);
    }
  }
  EXPECT_EQ(items.size(), 2u);
  EXPECT_EQ(done, items);
}

TEST(RealtimeSession, ShortPausesDoNotEndATurn) {
  Stage stage;
  stage.open();
  stage.append(0.5, 0.5f);
  stage.append(0.4, 0);
  stage.append(0.5, 0.5f);
  EXPECT_THAT(
      stage.peer->types(), Not(Contains("input_audio_buffer.speech_stopped")));
  stage.configure(
      {{"turn_detection",
        {{"type", "server_vad"}, {"silence_duration_ms", 200}}}});
  stage.append(0.4, 0);
  EXPECT_THAT(
      stage.peer->types(), Contains("input_audio_buffer.speech_stopped"));
}

TEST(RealtimeSession, CommitEndsATurn) {
  Stage stage;
  stage.open();
  stage.append(1.2, 0.5f);
  stage.send({{"type", "input_audio_buffer.commit"}});
  auto completed = stage.peer->find(kOf + "completed");
  EXPECT_EQ(completed["transcript"], "one two");
  // To the last sample: what the resampler held, and less than a VAD's chunk.
  EXPECT_NEAR(completed["usage"]["seconds"].get<double>(), 1.2, 1e-3);
}

TEST(RealtimeSession, WithoutDetectionTheClientCommits) {
  Stage stage;
  stage.open();
  stage.configure({{"turn_detection", nullptr}});
  stage.append(1.0, 0.5f);
  stage.append(1.0, 0);
  size_t before = stage.peer->messages.size();
  stage.send({{"type", "input_audio_buffer.commit"}});
  EXPECT_THAT(
      stage.peer->types(before),
      ElementsAre(
          "input_audio_buffer.committed",
          "conversation.item.added",
          "conversation.item.done",
          kOf + "delta",
          kOf + "completed"));
  EXPECT_THAT(stage.hearing.fed, ElementsAre(32000u));
  stage.send({{"type", "input_audio_buffer.commit"}, {"event_id", "mine"}});
  const auto& error = stage.peer->messages.back();
  EXPECT_EQ(error["type"], "error");
  EXPECT_EQ(error["error"]["code"], "input_audio_buffer_commit_empty");
  EXPECT_EQ(error["error"]["type"], "invalid_request_error");
  EXPECT_EQ(error["error"]["event_id"], "mine");
}

TEST(RealtimeSession, BufferIsBounded) {
  Stage stage;
  stage.open();
  stage.configure(
      {{"format", {{"type", "audio/pcmu"}}}, {"turn_detection", nullptr}});
  std::string minute =
      to_base64(std::vector<uint8_t>(static_cast<size_t>(60 * 8000), 0xff));
  for (int i = 0; i < 6; ++i) {
    stage.send({{"type", "input_audio_buffer.append"}, {"audio", minute}});
  }
  EXPECT_EQ(
      stage.peer->find("error")["error"]["code"], "input_audio_buffer_full");
}

TEST(RealtimeSession, ClearDropsWhatWasSaid) {
  Stage stage;
  stage.open();
  stage.send({{"type", "input_audio_buffer.clear"}});
  stage.append(1.0, 0.5f);
  stage.send({{"type", "input_audio_buffer.clear"}});
  stage.append(1.0, 0);
  auto types = stage.peer->types();
  EXPECT_EQ(
      std::count(types.begin(), types.end(), "input_audio_buffer.cleared"), 2);
  EXPECT_THAT(types, Not(Contains("input_audio_buffer.committed")));
  EXPECT_THAT(types, Not(Contains(kOf + "completed")));
}

TEST(RealtimeSession, ReadsEveryFormat) {
  for (const char* type : {"audio/pcmu", "audio/pcma"}) {
    Stage stage;
    stage.open();
    stage.configure(
        {{"format", {{"type", type}}}, {"turn_detection", nullptr}});
    stage.send(
        {{"type", "input_audio_buffer.append"},
         {"audio", to_base64(std::vector<uint8_t>(8000, 0x00))}});
    stage.send({{"type", "input_audio_buffer.commit"}});
    EXPECT_THAT(stage.hearing.fed, ElementsAre(16000u)) << type;
  }
  EXPECT_FLOAT_EQ(decode_mu_law(0xff), 0);
  EXPECT_FLOAT_EQ(decode_mu_law(0x80), 32124 / 32768.0f);
  EXPECT_FLOAT_EQ(decode_mu_law(0x00), -32124 / 32768.0f);
  EXPECT_FLOAT_EQ(decode_a_law(0xd5), 8 / 32768.0f);
  EXPECT_FLOAT_EQ(decode_a_law(0xaa), 32256 / 32768.0f);
  EXPECT_FLOAT_EQ(decode_a_law(0x2a), -32256 / 32768.0f);
}

TEST(RealtimeSession, SamplesMayBeCutBetweenAppends) {
  Stage stage;
  stage.open();
  stage.configure(
      {{"format", {{"type", "audio/pcm"}, {"rate", 16000}}},
       {"turn_detection", nullptr}});
  auto sound = Stage::pcm(0.5, 0.5f, 16000);
  for (size_t at = 0; at < sound.size(); at += 333) {
    std::span<const uint8_t> all(sound);
    auto part = all.subspan(at, std::min<size_t>(333, sound.size() - at));
    stage.send(
        {{"type", "input_audio_buffer.append"}, {"audio", to_base64(part)}});
  }
  stage.send({{"type", "input_audio_buffer.commit"}});
  EXPECT_THAT(stage.hearing.fed, ElementsAre(8000u));
}

TEST(RealtimeSession, SettingsReachTheRecognizer) {
  Stage stage;
  stage.open();
  stage.configure(
      {{"transcription",
        {{"model", "base"},
         {"language", "es"},
         {"keywords", {"Zaragoza", "MLX"}},
         {"prompt", "A talk."},
         {"delay", "low"}}}});
  auto updated = stage.peer->find("session.updated");
  const auto& said = updated["session"]["audio"]["input"]["transcription"];
  EXPECT_EQ(said["model"], "base");
  EXPECT_EQ(said["keywords"], Json({"Zaragoza", "MLX"}));
  stage.append(0.3, 0.5f);
  const auto& asked = stage.hearing.asked.at(0);
  EXPECT_EQ(asked.model, "id-of-base");
  EXPECT_EQ(asked.language, "es");
  EXPECT_EQ(asked.prompt, "A talk.");
  EXPECT_EQ(asked.delay, "low");
  EXPECT_THAT(asked.keywords, ElementsAre("Zaragoza", "MLX"));
}

TEST(RealtimeSession, AnotherModelGetsAnotherListener) {
  Stage stage;
  stage.open();
  stage.append(0.3, 0.5f);
  stage.configure({{"transcription", {{"model", "tiny"}, {"prompt", "x"}}}});
  EXPECT_EQ(stage.listeners, 1);
  stage.configure({{"transcription", {{"model", "base"}}}});
  stage.append(0.3, 0.5f);
  EXPECT_EQ(stage.listeners, 2);
}

TEST(RealtimeSession, WithoutTranscriptionTurnsAreStillTold) {
  Stage stage;
  stage.open();
  stage.configure({{"transcription", nullptr}});
  stage.append(1.0, 0.5f);
  stage.append(1.0, 0);
  auto types = stage.peer->types();
  EXPECT_THAT(types, Contains("input_audio_buffer.committed"));
  EXPECT_THAT(types, Not(Contains(kOf + "completed")));
  EXPECT_TRUE(stage.hearing.asked.empty());
}

TEST(RealtimeSession, AFailedItemIsNamedAndTheSessionGoesOn) {
  Stage stage;
  stage.open();
  stage.configure({{"transcription", {{"model", "tiny"}, {"language", "xx"}}}});
  stage.append(1.0, 0.5f);
  stage.append(1.0, 0);
  auto failed = stage.peer->find(kOf + "failed");
  EXPECT_EQ(
      failed["item_id"],
      stage.peer->find("input_audio_buffer.committed")["item_id"]);
  EXPECT_THAT(failed["error"]["message"].get<std::string>(), HasSubstr("'xx'"));
  stage.configure({{"transcription", {{"model", "tiny"}}}});
  stage.append(1.0, 0.5f);
  stage.append(1.0, 0);
  EXPECT_FALSE(stage.peer->find(kOf + "completed").is_null());
}

TEST(RealtimeSession, NoiseIsTakenOutBeforeTheRest) {
  Stage stage;
  stage.can_clean = false;
  stage.open();
  stage.configure({{"noise_reduction", {{"type", "near_field"}}}});
  EXPECT_EQ(
      stage.peer->messages.back()["error"]["param"],
      "session.audio.input.noise_reduction");
  stage.can_clean = true;
  stage.configure(
      {{"noise_reduction", {{"type", "far_field"}, {"strength", 0.5}}},
       {"turn_detection", nullptr}});
  EXPECT_EQ(stage.peer->messages.back()["type"], "session.updated");
  stage.append(1.0, 0.5f);
  stage.send({{"type", "input_audio_buffer.commit"}});
  EXPECT_EQ(stage.hearing.cleaned, 16000u);
  EXPECT_THAT(stage.hearing.fed, ElementsAre(16000u)); // none is lost
}

TEST(RealtimeSession, IncludesProbabilitiesAndPendingWordsIfAsked) {
  Stage stage;
  stage.open();
  stage.send(
      {{"type", "session.update"},
       {"session",
        {{"type", "transcription"},
         {"include",
          {"item.input_audio_transcription.logprobs",
           "item.input_audio_transcription.pending"}}}}});
  stage.append(1.0, 0.5f);
  auto delta = stage.peer->find(kOf + "delta");
  EXPECT_EQ(delta["pending"], " more");
  EXPECT_EQ(delta["logprobs"][0]["token"], " one");
  EXPECT_NEAR(delta["logprobs"][0]["logprob"].get<double>(), -0.693, 1e-3);
  EXPECT_EQ(delta["logprobs"][0]["bytes"], Json({32, 111, 110, 101}));
}

TEST(RealtimeSession, TheBetaHasItsOwnWords) {
  Stage stage;
  stage.open(/* beta */ true);
  EXPECT_EQ(stage.peer->messages[0]["type"], "transcription_session.created");
  stage.send(
      {{"type", "transcription_session.update"},
       {"session",
        {{"input_audio_format", "g711_ulaw"},
         {"input_audio_transcription",
          {{"model", "tiny"}, {"language", "en"}, {"prompt", ""}}},
         {"turn_detection", {{"type", "server_vad"}, {"threshold", 0.4}}}}}});
  auto updated = stage.peer->find("transcription_session.updated")["session"];
  EXPECT_EQ(updated["input_audio_format"], "g711_ulaw");
  EXPECT_EQ(updated["input_audio_transcription"]["language"], "en");
  EXPECT_EQ(updated["turn_detection"]["threshold"], 0.4);
  stage.send(
      {{"type", "input_audio_buffer.append"},
       {"audio", to_base64(std::vector<uint8_t>(8000, 0x00))}});
  stage.send({{"type", "input_audio_buffer.commit"}});
  EXPECT_THAT(stage.peer->types(), Contains("conversation.item.created"));
  EXPECT_THAT(stage.peer->types(), Not(Contains("conversation.item.added")));
}

TEST(RealtimeSession, ExpiresAfterAnHour) {
  Stage stage;
  stage.open();
  stage.time += 3600;
  stage.append(0.1, 0);
  EXPECT_EQ(stage.peer->messages.back()["error"]["code"], "session_expired");
  EXPECT_EQ(stage.peer->closed, 1000);
}

TEST(RealtimeSession, WhoSendsTooFastIsNotRead) {
  Stage stage;
  stage.open();
  stage.append(0.1, 0);
  stage.current->seconds_behind = 61;
  stage.append(0.1, 0);
  EXPECT_TRUE(stage.peer->paused);
  stage.current->seconds_behind = 30;
  stage.heard_some();
  EXPECT_TRUE(stage.peer->paused);
  stage.current->seconds_behind = 5;
  stage.heard_some();
  EXPECT_FALSE(stage.peer->paused);
}

struct BadEvent {
  const char* text;
  const char* param; // "" for none
  const char* words;
};

void PrintTo(const BadEvent& event, std::ostream* out) {
  *out << event.words;
}

class RealtimeErrors : public ::testing::TestWithParam<BadEvent> {};

TEST_P(RealtimeErrors, AreToldAndChangeNothing) {
  Stage stage;
  stage.open();
  stage.session->on_text(GetParam().text);
  ASSERT_EQ(stage.peer->messages.size(), 2u) << GetParam().text;
  const auto& error = stage.peer->messages[1];
  EXPECT_EQ(error["type"], "error") << error;
  const auto& body = error["error"];
  EXPECT_THAT(body["message"].get<std::string>(), HasSubstr(GetParam().words));
  std::string param = body["param"].is_null() ? "" : body["param"];
  EXPECT_EQ(param, GetParam().param);
  EXPECT_EQ(stage.peer->closed, 0);
  // As before.
  stage.configure(Json::object());
  Json before = stage.peer->messages[0]["session"];
  EXPECT_EQ(stage.peer->messages[2]["session"], before);
}

INSTANTIATE_TEST_SUITE_P(
    All,
    RealtimeErrors,
    ::testing::Values(
        BadEvent{"{", "", "not valid JSON"},
        BadEvent{"[1]", "", "object"},
        BadEvent{R"({"event_id":"x"})", "type", "no 'type'"},
        BadEvent{R"({"type":7})", "type", "string"},
        BadEvent{R"({"type":"response.create"})", "type", "response.create"},
        BadEvent{R"({"type":"input_audio_buffer.append"})", "audio", "base64"},
        BadEvent{
            R"({"type":"input_audio_buffer.append","audio":"%%%"})",
            "audio",
            "base64"},
        BadEvent{R"({"type":"session.update"})", "session", "missing"},
        BadEvent{
            R"({"type":"session.update","session":5})",
            "session",
            "object"},
        BadEvent{
            R"({"type":"session.update","session":{}})",
            "session.type",
            "missing"},
        BadEvent{
            R"({"type":"session.update","session":{"type":"realtime"}})",
            "session.type",
            "transcription"},
        BadEvent{
            R"({"type":"session.update","session":{"type":"transcription",
                "voice":"alloy"}})",
            "session.voice",
            "unknown"},
        BadEvent{
            R"({"type":"session.update","session":{"type":"transcription",
                "include":["everything"]}})",
            "session.include",
            "knows only"},
        BadEvent{
            R"({"type":"session.update","session":{"type":"transcription",
                "audio":{"input":{"turn_detection":{"type":"semantic_vad"}}}}})",
            "session.audio.input.turn_detection.type",
            "server_vad"},
        BadEvent{
            R"({"type":"session.update","session":{"type":"transcription",
                "audio":{"input":{"turn_detection":{"type":"server_vad",
                "threshold":2}}}}})",
            "session.audio.input.turn_detection.threshold",
            "0.0 to 1.0"},
        BadEvent{
            R"({"type":"session.update","session":{"type":"transcription",
                "audio":{"input":{"turn_detection":{"type":"server_vad",
                "idle_timeout_ms":6000}}}}})",
            "session.audio.input.turn_detection.idle_timeout_ms",
            "only transcribes"},
        BadEvent{
            R"({"type":"session.update","session":{"type":"transcription",
                "audio":{"input":{"format":{"type":"audio/mp3"}}}}})",
            "session.audio.input.format.type",
            "audio/pcm"},
        BadEvent{
            R"({"type":"session.update","session":{"type":"transcription",
                "audio":{"input":{"format":{"type":"audio/pcm","rate":1}}}}})",
            "session.audio.input.format.rate",
            "24000"},
        BadEvent{
            R"({"type":"session.update","session":{"type":"transcription",
                "audio":{"input":{"transcription":{"model":"nothing"}}}}})",
            "session.audio.input.transcription.model",
            "nothing"},
        BadEvent{
            R"({"type":"session.update","session":{"type":"transcription",
                "audio":{"input":{"transcription":{"keywords":"x"}}}}})",
            "session.audio.input.transcription.keywords",
            "list"},
        BadEvent{
            R"({"type":"session.update","session":{"type":"transcription",
                "audio":{"input":{"transcription":{"delay":"none"}}}}})",
            "session.audio.input.transcription.delay",
            "minimal"}));

TEST(RealtimeSession, BinaryMessagesAreRefused) {
  Stage stage;
  stage.open();
  stage.session->on_binary({});
  EXPECT_EQ(stage.peer->messages.back()["error"]["code"], "invalid_event");
}

TEST(LegacySession, TranscribesTurns) {
  Stage stage;
  LegacySession session(stage.host, stage.peer);
  session.on_text(R"({"model": "tiny", "language": "en"})");
  EXPECT_EQ(stage.peer->messages.at(0)["status"], "ready");
  session.on_binary(Stage::pcm(1.6, 0.5f, 16000));
  session.on_binary(Stage::pcm(0.8, 0, 16000));
  auto delta = stage.peer->find("delta");
  EXPECT_EQ(delta["delta"], "one two three");
  auto complete = stage.peer->find("complete");
  EXPECT_EQ(complete["text"], "one two three four");
  EXPECT_EQ(complete["language"], "en");
  EXPECT_EQ(complete["is_partial"], false);
  EXPECT_TRUE(complete.contains("segments"));
}

TEST(LegacySession, WithoutStreamingWholeTextsCome) {
  Stage stage;
  LegacySession session(stage.host, stage.peer);
  session.on_text(R"({"model": "tiny", "streaming": false})");
  session.on_binary(Stage::pcm(1.6, 0.5f, 16000));
  const auto& partial = stage.peer->messages.at(1);
  EXPECT_FALSE(partial.contains("type"));
  EXPECT_EQ(partial["is_partial"], true);
  EXPECT_EQ(partial["text"], "one two three more");
}

TEST(LegacySession, LongSpeechIsCutAfterFiveSeconds) {
  Stage stage;
  LegacySession session(stage.host, stage.peer);
  session.on_text(R"({"model": "tiny"})");
  session.on_binary(Stage::pcm(11.0, 0.5f, 16000));
  auto types = stage.peer->types();
  EXPECT_EQ(std::count(types.begin(), types.end(), "complete"), 2);
}

TEST(LegacySession, StopFinishesWhatIsSaidAndCloses) {
  Stage stage;
  LegacySession session(stage.host, stage.peer);
  session.on_text(R"({"model": "tiny"})");
  session.on_binary(Stage::pcm(1.1, 0.5f, 16000));
  session.on_text(R"({"action": "stop"})");
  EXPECT_EQ(stage.peer->find("complete")["text"], "one two");
  EXPECT_EQ(stage.peer->closed, 1000);
  for (const auto& message : stage.peer->messages) {
    EXPECT_FALSE(message.contains("error")) << message;
  }
}

TEST(LegacySession, SaysWhatIsWrong) {
  Stage stage;
  LegacySession session(stage.host, stage.peer);
  session.on_binary(Stage::pcm(0.1, 0, 16000));
  EXPECT_THAT(
      stage.peer->messages.at(0)["error"].get<std::string>(),
      HasSubstr("settings"));
  session.on_text(R"({"model": "nothing"})");
  EXPECT_THAT(
      stage.peer->messages.at(1)["error"].get<std::string>(),
      HasSubstr("nothing"));
  session.on_text(R"({"model": "tiny", "sample_rate": 1})");
  EXPECT_THAT(
      stage.peer->messages.at(2)["error"].get<std::string>(),
      HasSubstr("sample_rate"));
}

} // namespace
} // namespace mlx_audio::server
