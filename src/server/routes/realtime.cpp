// WebSockets. Live transcription: OpenAI's /v1/realtime with its keys for
// pages, and mlx-audio's own. Live enhancement.
#include <chrono>

#include "server/access.h"
#include "server/names.h"
#include "server/realtime/client_secrets.h"
#include "server/realtime/enhancement_socket.h"
#include "server/realtime/legacy_session.h"
#include "server/realtime/random_id.h"
#include "server/routes/routes.h"

namespace mlx_audio::server {

namespace {

int64_t now() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

ModelInfo model_info(const std::string& id, const Services& services) {
  try {
    return services.engine.model(id);
  } catch (const Error& error) {
    throw ApiError(error, "model");
  }
}

[[noreturn]] void model_cannot(const ModelInfo& info, const std::string& what) {
  throw ApiError(
      400,
      "the model '" + info.id + "' cannot " + what,
      "model",
      "model_not_supported");
}

std::string listening_model(const std::string& name, const Services& services) {
  const auto& options = services.options;
  // OpenAI's names of models that answer ("gpt-realtime") mean no model here.
  bool any = name.empty() || name.rfind("gpt-", 0) == 0;
  auto id =
      any ? options.transcription_model : transcription_model(name, options);
  auto info = model_info(id, services);
  const auto& can = info.features;
  if (info.task != ModelTask::transcription ||
      std::find(can.begin(), can.end(), "realtime") == can.end()) {
    model_cannot(info, "transcribe live");
  }
  return info.id;
}

std::string enhancing_model(const std::string& name, const Services& services) {
  auto info = model_info(name, services);
  if (info.task != ModelTask::enhancement) {
    model_cannot(info, "enhance");
  }
  return info.id;
}

std::string noise_model(const Services& services) {
  for (const auto& info : services.engine.models()) {
    if (info.task == ModelTask::enhancement) {
      return info.id;
    }
  }
  return "";
}

std::shared_ptr<const RealtimeHost> make_host(Services& services) {
  RealtimeHost host;
  host.lookup.model = [&services](const std::string& name) {
    return listening_model(name, services);
  };
  host.lookup.noise_reduction = [&services] {
    return !noise_model(services).empty();
  };
  host.listen =
      [&services](
          const SessionConfig& config, ListenSink sink, HeardSome heard_some) {
        return make_engine_listener(
            services.engine,
            {.model = config.transcription ? config.transcription->model
                                           : listening_model("", services),
             .enhancer = config.noise_reduction ? noise_model(services) : ""},
            std::move(sink),
            std::move(heard_some));
      };
  host.now = now;
  return std::make_shared<const RealtimeHost>(std::move(host));
}

SessionConfig new_config(const std::string& model, const RealtimeHost& host) {
  SessionConfig config;
  config.transcription->model = host.lookup.model(model);
  config.transcription->name =
      model.empty() ? config.transcription->model : model;
  return config;
}

bool speaks_beta(const Request& request) {
  return request.header("openai-beta").find("realtime=v1") !=
      std::string::npos ||
      request.header("sec-websocket-protocol")
          .find("openai-beta.realtime-v1") != std::string::npos;
}

std::unique_ptr<WebSocketSession> open_session(
    const Request& request,
    std::shared_ptr<WebSocketPeer> peer,
    const std::shared_ptr<const RealtimeHost>& host,
    const ClientSecrets& secrets) {
  auto intent = request.parameter("intent").value_or("transcription");
  if (intent != "transcription") {
    throw ApiError(
        400,
        "intent '" + intent.substr(0, 60) +
            "' is not served here: it must be 'transcription'",
        "intent",
        "invalid_value");
  }
  auto model = request.parameter("model");
  auto kept = secrets.find(key_of(request), host->now());
  SessionConfig config =
      kept && !model ? *kept : new_config(model.value_or(""), *host);
  return std::make_unique<RealtimeSession>(
      host, std::move(peer), std::move(config), speaks_beta(request));
}

void respond_secret(
    const ExchangePtr& x,
    const RealtimeHost& host,
    ClientSecrets& secrets,
    bool beta) {
  const auto& body = x->request().body;
  Json value = body.empty() ? Json::object() : parse_object(body);
  int64_t seconds = 600;
  if (const Json* after = Fields(value).find("expires_after")) {
    if (!after->is_object() ||
        Fields(*after).text("anchor", 32).value_or("created_at") !=
            "created_at") {
      invalid_value(
          "expires_after",
          "must be {\"anchor\": \"created_at\", \"seconds\": N}");
    }
    seconds = Fields(*after).integer("seconds", 10, 7200).value_or(seconds);
  }
  SessionConfig config = new_config("", host);
  if (beta) {
    update_config(config, value, true, host.lookup);
  } else if (const Json* session = Fields(value).find("session")) {
    update_config(config, *session, false, host.lookup);
  }
  auto secret = secrets.make(std::move(config), host.now(), seconds);
  Json session = {{"id", random_id("sess_")}};
  session.update(config_json(secret.config, beta));
  Json out;
  if (beta) {
    out = session;
    out["client_secret"] = {
        {"value", secret.value}, {"expires_at", secret.expires_at}};
  } else {
    out = {
        {"value", secret.value},
        {"expires_at", secret.expires_at},
        {"session", session}};
  }
  x->respond({.body = dump(out) + "\n"});
}

} // namespace

void add_realtime_routes(Router& router, Services& services) {
  auto host = make_host(services);
  auto& secrets = services.secrets;
  router.add_web_socket(
      "/v1/realtime",
      [host, &secrets](
          const Request& request, std::shared_ptr<WebSocketPeer> peer) {
        return open_session(request, std::move(peer), host, secrets);
      });
  router.add_web_socket(
      "/v1/audio/transcriptions/realtime",
      [host](const Request&, std::shared_ptr<WebSocketPeer> peer)
          -> std::unique_ptr<WebSocketSession> {
        return std::make_unique<LegacySession>(host, std::move(peer));
      });
  router.add_web_socket(
      "/v1/audio/enhancements/realtime",
      [&services](const Request&, std::shared_ptr<WebSocketPeer> peer)
          -> std::unique_ptr<WebSocketSession> {
        return std::make_unique<EnhancementSocket>(
            services.engine,
            [&services](const std::string& name) {
              return enhancing_model(name, services);
            },
            std::move(peer));
      });
  constexpr size_t max_body = 64 << 10;
  router.add(
      {.method = "POST",
       .pattern = "/v1/realtime/client_secrets",
       .handler =
           [host, &secrets](const ExchangePtr& x) {
             respond_secret(x, *host, secrets, false);
           },
       .max_body = max_body});
  router.add(
      {.method = "POST",
       .pattern = "/v1/realtime/transcription_sessions",
       .handler =
           [host, &secrets](const ExchangePtr& x) {
             respond_secret(x, *host, secrets, true);
           },
       .max_body = max_body});
}

} // namespace mlx_audio::server
