#include "server/realtime/legacy_session.h"

namespace mlx_audio::server {

namespace {

// As the original ends its turns.
constexpr int kSilence = 500; // milliseconds
constexpr double kLongestTurn = 5; // seconds
constexpr const char* kLast = "last";
constexpr const char* kEnd = "end";

} // namespace

LegacySession::LegacySession(
    std::shared_ptr<const RealtimeHost> host,
    std::shared_ptr<WebSocketPeer> peer)
    : host_(std::move(host)), peer_(std::move(peer)) {}

void LegacySession::on_close() {
  listener_.reset();
}

void LegacySession::on_text(std::string_view message) {
  try {
    if (!ready_) {
      begin(message);
      return;
    }
    Json value = parse_object(message);
    if (Fields(value).text("action", 32).value_or("") == "stop") {
      stop();
    }
  } catch (const ApiError& error) {
    fail(error);
  }
}

void LegacySession::begin(std::string_view message) {
  Json value = parse_object(message);
  Fields fields(value);
  TranscriptionSettings settings;
  settings.name = fields.text("model", 300).value_or("");
  settings.model = host_->lookup.model(settings.name);
  settings.language = fields.text("language", 32).value_or("");
  streaming_ = fields.boolean("streaming").value_or(true);
  config_.sample_rate = static_cast<int>(
      fields.integer("sample_rate", 8000, 48000).value_or(kHearingRate));
  config_.transcription = std::move(settings);
  config_.pending = true;
  config_.turn_detection = TurnDetection{
      .silence_duration_ms = kSilence, .max_turn_seconds = kLongestTurn};
  input_ = std::make_unique<AudioInput>(config_.format, config_.sample_rate);
  auto sink = [this, peer = peer_](ListenEvent&& event) {
    auto kept = std::make_shared<const ListenEvent>(std::move(event));
    peer->post([this, kept] { heard(*kept); });
  };
  auto heard_some = [this, peer = peer_] {
    peer->post([this] { pace_.look(listener_->behind(), *peer_); });
  };
  listener_ = host_->listen(config_, std::move(sink), std::move(heard_some));
  listener_->send(
      {.kind = ListenCommand::Kind::configure,
       .config = std::make_shared<const SessionConfig>(config_)});
  ready_ = true;
  peer_->send_text(
      dump({{"status", "ready"}, {"message", "Ready to transcribe"}}));
}

void LegacySession::on_binary(std::span<const uint8_t> message) {
  try {
    if (!ready_) {
      throw ApiError(
          400, "send the settings as JSON before sound: {\"model\": ...}");
    }
    if (stopping_) {
      return;
    }
    ListenCommand command;
    input_->decode(message, command.samples);
    if (!command.samples.empty()) {
      listener_->send(std::move(command));
      pace_.look(listener_->behind(), *peer_);
    }
  } catch (const ApiError& error) {
    fail(error);
  }
}

// What was being said is transcribed before the connection ends.
void LegacySession::stop() {
  if (std::exchange(stopping_, true)) {
    return;
  }
  ListenCommand rest;
  input_->flush(rest.samples);
  listener_->send(std::move(rest));
  // The first ends a turn, if there is one; the second finds nothing, and comes
  // back as an error once all before it is done.
  listener_->send({.kind = ListenCommand::Kind::commit, .event_id = kLast});
  listener_->send({.kind = ListenCommand::Kind::commit, .event_id = kEnd});
}

void LegacySession::heard(const ListenEvent& event) {
  switch (event.kind) {
    case ListenEvent::Kind::speech_started:
      text_.clear();
      break;
    case ListenEvent::Kind::text:
      text_ += event.text;
      if (!streaming_) {
        complete(text_ + event.pending, event, true);
      } else if (!event.text.empty()) {
        peer_->send_text(dump({{"type", "delta"}, {"delta", event.text}}));
      }
      break;
    case ListenEvent::Kind::completed:
      complete(event.text, event, false);
      break;
    case ListenEvent::Kind::failed:
      fail(*event.error);
      break;
    case ListenEvent::Kind::error:
      if (event.event_id == kEnd) {
        peer_->close(1000, "stopped");
      } else if (event.event_id != kLast) {
        fail(*event.error);
      }
      break;
    default:
      break;
  }
}

void LegacySession::complete(
    const std::string& text,
    const ListenEvent& event,
    bool partial) {
  Json segments = nullptr;
  if (!event.segments.empty()) {
    segments = Json::array();
    for (const auto& segment : event.segments) {
      segments.push_back(
          {{"text", segment.text},
           {"start", segment.start},
           {"end", segment.end}});
    }
  }
  const std::string& language =
      event.language.empty() ? config_.transcription->language : event.language;
  Json message = Json::object();
  if (streaming_) {
    message["type"] = "complete";
  }
  message["text"] = text;
  message["segments"] = segments;
  message["language"] = language.empty() ? Json(nullptr) : Json(language);
  message["is_partial"] = partial;
  peer_->send_text(dump(message));
}

void LegacySession::fail(const ApiError& error) {
  peer_->send_text(dump({{"error", error.what()}, {"status", "error"}}));
}

} // namespace mlx_audio::server
