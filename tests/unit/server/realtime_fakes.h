// A session's surroundings for tests: a client that keeps what it is told, and
// a recognizer that hears loud samples as speech and counts seconds.
#pragma once

#include <cmath>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/base64.h"
#include "server/realtime/legacy_session.h"

namespace mlx_audio::server {

class FakePeer : public WebSocketPeer {
 public:
  void send_text(std::string message) override {
    messages.push_back(Json::parse(message));
  }
  void send_binary(std::string) override {}
  void close(uint16_t code, const std::string&) override {
    closed = code;
  }
  void pause_reading(bool now) override {
    paused = now;
  }
  void post(std::function<void()> work) override {
    work();
  }

  /// Types of the messages from `from` on, in order.
  std::vector<std::string> types(size_t from = 0) const {
    std::vector<std::string> out;
    for (size_t i = from; i < messages.size(); ++i) {
      out.push_back(messages[i].value("type", ""));
    }
    return out;
  }
  /// The first message of a type.
  Json find(const std::string& type, size_t from = 0) const {
    for (size_t i = from; i < messages.size(); ++i) {
      if (messages[i].value("type", "") == type) {
        return messages[i];
      }
    }
    return nullptr;
  }

  std::vector<Json> messages;
  int closed = 0;
  bool paused = false;
};

/// Says " one", " two", ... for each half second.
class FakeUtterance : public Utterance {
 public:
  FakeUtterance(std::vector<size_t>* fed, bool live) : fed_(fed), live_(live) {
    fed_->push_back(0);
  }
  void feed(std::span<const float> samples) override {
    count_ += samples.size();
    fed_->back() = count_;
  }
  void finish() override {
    finished_ = true;
  }
  double step_seconds() const override {
    return live_ ? 0.5 : 1e9;
  }
  std::string language() const override {
    return "en";
  }
  std::optional<Heard> step() override {
    static const char* names[] = {" one", " two", " three", " four", " five"};
    size_t most = count_ * 2 / kHearingRate;
    if (said_ >= most) {
      return {};
    }
    Heard heard;
    while (said_ < most) {
      std::string word = names[said_ % 5];
      heard.text += word;
      heard.words.push_back(
          {word, said_ * 0.5, said_ * 0.5 + 0.5, /* probability */ 0.5});
      ++said_;
    }
    heard.pending = " more";
    return heard;
  }

 private:
  std::vector<size_t>* fed_;
  bool live_;
  bool finished_ = false;
  size_t count_ = 0;
  size_t said_ = 0;
};

class FakeHearing : public Hearing {
 public:
  std::unique_ptr<Utterance>
  utterance(const TranscriptionSettings& settings, bool live, bool) override {
    asked.push_back(settings);
    if (settings.language == "xx") {
      throw Error(ErrorKind::invalid_argument, "unknown language 'xx'");
    }
    return std::make_unique<FakeUtterance>(&fed, live);
  }
  std::vector<float> speech(std::span<const float> samples) override {
    rest_.insert(rest_.end(), samples.begin(), samples.end());
    std::vector<float> out;
    while (rest_.size() >= 512) {
      float most = 0;
      for (size_t i = 0; i < 512; ++i) {
        most = std::max(most, std::abs(rest_[i]));
      }
      out.push_back(most > 0.1f ? 1.0f : 0.0f);
      rest_.erase(rest_.begin(), rest_.begin() + 512);
    }
    return out;
  }
  void reset() override {
    rest_.clear();
  }
  std::vector<float> clean(
      std::span<const float> samples,
      const NoiseReduction&) override {
    // Comes 800 samples late.
    held_.insert(held_.end(), samples.begin(), samples.end());
    cleaned += samples.size();
    std::vector<float> out;
    if (held_.size() > 800) {
      out.assign(held_.begin(), held_.end() - 800);
      held_.erase(held_.begin(), held_.end() - 800);
    }
    return out;
  }
  std::vector<float> clean_rest() override {
    return std::move(held_);
  }

  std::vector<TranscriptionSettings> asked;
  std::vector<size_t> fed; // samples of each utterance
  size_t cleaned = 0;

 private:
  std::vector<float> rest_;
  std::vector<float> held_;
};

/// Listens at once, in the caller's thread.
class DirectListener : public Listener {
 public:
  DirectListener(Hearing& hearing, ListenSink sink)
      : listening_(hearing, std::move(sink)) {}
  void send(ListenCommand command) override {
    listening_.apply(std::move(command));
    while (listening_.ready()) {
      listening_.hear();
    }
  }
  double behind() const override {
    return seconds_behind;
  }

  double seconds_behind = 0;

 private:
  Listening listening_;
};

struct Stage {
  Stage() {
    auto made = std::make_shared<RealtimeHost>();
    made->lookup.model = [](const std::string& name) -> std::string {
      if (name == "nothing") {
        throw ApiError(404, "there is no model 'nothing'", "model");
      }
      return "id-of-" + name;
    };
    made->lookup.noise_reduction = [this] { return can_clean; };
    made->listen = [this](
                       const SessionConfig&, ListenSink sink, HeardSome heard) {
      auto listener =
          std::make_unique<DirectListener>(hearing, std::move(sink));
      current = listener.get();
      heard_some = std::move(heard);
      ++listeners;
      return listener;
    };
    made->now = [this] { return time; };
    host = made;
  }

  void open(bool beta = false, SessionConfig config = {}) {
    config.transcription->name = "tiny";
    config.transcription->model = "id-of-tiny";
    session = std::make_unique<RealtimeSession>(host, peer, config, beta);
    session->on_open();
  }
  void send(const Json& event) {
    session->on_text(dump(event));
  }
  /// Sends sound of one loudness at `rate` as pcm16.
  void append(double seconds, float level, int rate = 24000) {
    send(
        {{"type", "input_audio_buffer.append"},
         {"audio", to_base64(pcm(seconds, level, rate))}});
  }
  static std::vector<uint8_t> pcm(double seconds, float level, int rate) {
    std::vector<uint8_t> bytes;
    for (int i = 0; i < static_cast<int>(seconds * rate); ++i) {
      auto value = static_cast<int16_t>(
          32767 * level * std::sin(i * 2 * 3.14159265 * 440 / rate));
      bytes.push_back(static_cast<uint8_t>(value & 0xff));
      bytes.push_back(static_cast<uint8_t>((value >> 8) & 0xff));
    }
    return bytes;
  }
  /// session.update with these fields of audio.input.
  void configure(const Json& input) {
    send(
        {{"type", "session.update"},
         {"session",
          {{"type", "transcription"}, {"audio", {{"input", input}}}}}});
  }

  FakeHearing hearing;
  std::shared_ptr<FakePeer> peer = std::make_shared<FakePeer>();
  std::shared_ptr<const RealtimeHost> host;
  std::unique_ptr<RealtimeSession> session;
  DirectListener* current = nullptr;
  HeardSome heard_some;
  int listeners = 0;
  bool can_clean = true;
  int64_t time = 1000;
};

} // namespace mlx_audio::server
