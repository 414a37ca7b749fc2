#include "server/realtime/session.h"
#include "server/logprobs.h"

#include <cmath>

#include "server/base64.h"
#include "server/realtime/random_id.h"

namespace mlx_audio::server {

namespace {

const std::string kTranscription =
    "conversation.item.input_audio_transcription.";

Json error_json(const ApiError& error) {
  return Json::parse(error.body())["error"];
}

} // namespace

RealtimeSession::RealtimeSession(
    std::shared_ptr<const RealtimeHost> host,
    std::shared_ptr<WebSocketPeer> peer,
    SessionConfig config,
    bool beta)
    : host_(std::move(host)),
      peer_(std::move(peer)),
      config_(std::move(config)),
      beta_(beta),
      id_(random_id("sess_")),
      expires_(host_->now() + kSessionSeconds) {}

Json RealtimeSession::session_json(bool beta) const {
  Json out = {{"id", id_}};
  out.update(config_json(config_, beta));
  out["expires_at"] = expires_;
  return out;
}

void RealtimeSession::on_open() {
  emit(
      beta_ ? "transcription_session.created" : "session.created",
      {{"session", session_json(beta_)}});
}

void RealtimeSession::on_close() {
  listener_.reset();
}

void RealtimeSession::on_binary(std::span<const uint8_t> /* message */) {
  emit_error(
      ApiError(
          400,
          "messages must be text: JSON events with sound in base64",
          "",
          "invalid_event"),
      "");
}

void RealtimeSession::on_text(std::string_view message) {
  client_event_.clear();
  try {
    if (host_->now() >= expires_) {
      emit_error(
          ApiError(
              400,
              "the session has reached its limit of 60 minutes",
              "",
              "session_expired"),
          "");
      peer_->close(1000, "the session has expired");
      return;
    }
    Json event = parse_object(message);
    Fields fields(event);
    client_event_ = fields.text("event_id", 512).value_or("");
    handle(event);
  } catch (const ApiError& error) {
    emit_error(error, client_event_);
  } catch (const Error& error) {
    emit_error(ApiError(error), client_event_);
  }
}

void RealtimeSession::handle(const Json& event) {
  auto type = Fields(event).text("type", 100);
  if (!type) {
    throw ApiError(
        400, "the event has no 'type'", "type", "missing_required_parameter");
  }
  if (*type == "input_audio_buffer.append") {
    append(event);
  } else if (*type == "input_audio_buffer.commit") {
    if (input_) {
      ListenCommand rest;
      input_->flush(rest.samples);
      send_command(std::move(rest));
    }
    send_command({.kind = ListenCommand::Kind::commit});
  } else if (*type == "input_audio_buffer.clear") {
    if (input_) {
      input_->reset();
    }
    if (listener_) {
      send_command({.kind = ListenCommand::Kind::clear});
    } else {
      emit("input_audio_buffer.cleared", Json::object());
    }
  } else if (*type == "session.update") {
    update(event, false);
  } else if (*type == "transcription_session.update") {
    update(event, true);
  } else {
    throw ApiError(
        400,
        "'" + *type +
            "' is no event of a transcription session: these are "
            "session.update and input_audio_buffer.append, .commit and .clear",
        "type",
        "unknown_event");
  }
}

void RealtimeSession::update(const Json& event, bool beta) {
  const Json* session = Fields(event).find("session");
  if (session == nullptr) {
    throw ApiError(
        400, "'session' is missing", "session", "missing_required_parameter");
  }
  SessionConfig before = config_;
  update_config(config_, *session, beta, host_->lookup);
  bool same_sound = before.format == config_.format &&
      before.sample_rate == config_.sample_rate;
  if (!same_sound) {
    input_.reset();
  }
  auto model = [](const SessionConfig& config) {
    return config.transcription ? config.transcription->model : "";
  };
  bool same_models = model(before) == model(config_) &&
      before.noise_reduction.has_value() == config_.noise_reduction.has_value();
  if (listener_ && !same_models) {
    listener_.reset(); // the next sound goes to other models
    pace_.go(*peer_);
  }
  if (listener_) {
    send_command(
        {.kind = ListenCommand::Kind::configure,
         .config = std::make_shared<const SessionConfig>(config_)});
  }
  emit(
      beta ? "transcription_session.updated" : "session.updated",
      {{"session", session_json(beta)}});
}

void RealtimeSession::append(const Json& event) {
  const Json* audio = Fields(event).find("audio");
  if (audio == nullptr || !audio->is_string()) {
    throw ApiError(
        400,
        "'audio' must be base64 text",
        "audio",
        "missing_required_parameter");
  }
  auto bytes = from_base64(audio->get_ref<const std::string&>(), "audio");
  if (!input_) {
    input_ = std::make_unique<AudioInput>(config_.format, config_.sample_rate);
  }
  ListenCommand command;
  input_->decode(bytes, command.samples);
  if (!command.samples.empty()) {
    send_command(std::move(command));
    pace_.look(listener_->behind(), *peer_);
  }
}

void RealtimeSession::listen() {
  // The peer drops what is posted after the session's end.
  auto sink = [this, peer = peer_](ListenEvent&& event) {
    auto kept = std::make_shared<ListenEvent>(std::move(event));
    peer->post([this, kept] { heard(std::move(*kept)); });
  };
  auto heard_some = [this, peer = peer_] {
    peer->post([this] {
      if (listener_) {
        pace_.look(listener_->behind(), *peer_);
      }
    });
  };
  listener_ = host_->listen(config_, std::move(sink), std::move(heard_some));
  listener_->send(
      {.kind = ListenCommand::Kind::configure,
       .config = std::make_shared<const SessionConfig>(config_)});
}

void RealtimeSession::send_command(ListenCommand command) {
  if (!listener_) {
    listen();
  }
  command.event_id = client_event_;
  listener_->send(std::move(command));
}

void RealtimeSession::heard(ListenEvent event) {
  using Kind = ListenEvent::Kind;
  switch (event.kind) {
    case Kind::speech_started:
      emit(
          "input_audio_buffer.speech_started",
          {{"audio_start_ms", event.milliseconds}, {"item_id", event.item_id}});
      break;
    case Kind::speech_stopped:
      emit(
          "input_audio_buffer.speech_stopped",
          {{"audio_end_ms", event.milliseconds}, {"item_id", event.item_id}});
      break;
    case Kind::committed:
      committed(event);
      break;
    case Kind::cleared:
      emit("input_audio_buffer.cleared", Json::object());
      break;
    case Kind::text:
      heard_text(event);
      break;
    case Kind::completed:
      heard_all(event);
      break;
    case Kind::failed:
      emit(
          kTranscription + "failed",
          {{"item_id", event.item_id},
           {"content_index", 0},
           {"error", error_json(*event.error)}});
      break;
    case Kind::error:
      emit_error(*event.error, event.event_id);
      break;
  }
}

void RealtimeSession::committed(const ListenEvent& event) {
  Json previous = event.previous_item_id.empty() ? Json(nullptr)
                                                 : Json(event.previous_item_id);
  emit(
      "input_audio_buffer.committed",
      {{"previous_item_id", previous}, {"item_id", event.item_id}});
  Json item = {
      {"id", event.item_id},
      {"object", "realtime.item"},
      {"type", "message"},
      {"status", "completed"},
      {"role", "user"},
      {"content", {{{"type", "input_audio"}, {"transcript", nullptr}}}}};
  Json fields = {{"previous_item_id", previous}, {"item", item}};
  if (beta_) {
    emit("conversation.item.created", fields);
  } else {
    emit("conversation.item.added", fields);
    emit("conversation.item.done", fields);
  }
}

void RealtimeSession::heard_text(const ListenEvent& event) {
  Json fields = {
      {"item_id", event.item_id}, {"content_index", 0}, {"delta", event.text}};
  if (config_.logprobs) {
    fields["logprobs"] = logprobs(event.words);
  }
  if (config_.pending) {
    fields["pending"] = event.pending;
  }
  emit(kTranscription + "delta", fields);
}

void RealtimeSession::heard_all(const ListenEvent& event) {
  Json languages = Json::array();
  if (!event.language.empty()) {
    languages.push_back({{"code", event.language}});
  }
  Json fields = {
      {"item_id", event.item_id},
      {"content_index", 0},
      {"transcript", event.text},
      {"languages", languages},
      {"usage", {{"type", "duration"}, {"seconds", event.seconds}}}};
  if (config_.logprobs) {
    fields["logprobs"] = logprobs(event.words);
  }
  emit(kTranscription + "completed", fields);
}

void RealtimeSession::emit(const std::string& type, const Json& fields) {
  Json event = {{"type", type}, {"event_id", random_id("event_")}};
  event.update(fields);
  peer_->send_text(dump(event));
}

void RealtimeSession::emit_error(
    const ApiError& error,
    const std::string& event_id) {
  Json body = error_json(error);
  body["event_id"] = event_id.empty() ? Json(nullptr) : Json(event_id);
  emit("error", {{"error", body}});
}

} // namespace mlx_audio::server
