// /v1/models: what is installed and what is loaded.
#include "server/routes/routes.h"

#include <atomic>
#include <chrono>

#include "hub/download.h"
#include "server/downloads.h"
#include "server/engine_work.h"
#include "server/json.h"
#include "server/sse.h"

namespace mlx_audio::server {

namespace {

Json describe(const ModelInfo& info) {
  auto slash = info.id.find('/');
  return {
      {"id", info.id},
      {"object", "model"},
      {"created", info.created},
      {"owned_by",
       slash == std::string::npos ? "mlx-audio" : info.id.substr(0, slash)},
      {"task", to_string(info.task)},
      {"architecture", info.architecture},
      {"loaded", info.loaded},
      {"size_bytes", info.size_bytes},
      {"memory_bytes", info.memory_bytes},
      {"features", info.features}};
}

// Answers once the model is there.
void load(const ExchangePtr& x, Services& services, const std::string& id) {
  auto info = services.engine.model(id);
  x->notes().model = info.id;
  auto& engine = services.engine;
  engine_work(
      x,
      [&](auto finished) { return engine.load(id, std::move(finished)); },
      [x, &engine, id](const Ticket&) {
        x->respond({.body = dump(describe(engine.model(id))) + "\n"});
      },
      "model");
}

void unload(const ExchangePtr& x, Services& services, const std::string& id) {
  auto info = services.engine.model(id);
  x->notes().model = info.id;
  services.engine.unload(id);
  x->respond(
      {.body = dump({{"id", info.id}, {"object", "model"}, {"deleted", true}}) +
           "\n"});
}

// mlx-audio's clients name the model in the query, others in the body.
std::string named_model(const Exchange& x) {
  const auto& request = x.request();
  for (const char* name : {"model_name", "model"}) {
    if (auto value = request.parameter(name); value && !value->empty()) {
      return *value;
    }
  }
  if (!request.body.empty()) {
    Json body = parse_object(request.body);
    Fields fields(body);
    for (const char* name : {"model", "model_name"}) {
      if (auto value = fields.text(name, 300); value && !value->empty()) {
        return *value;
      }
    }
  }
  throw ApiError(400, "which model? give 'model'", "model", "missing_field");
}

// Downloads a model and tells how far it is, as events. A client that leaves
// ends it; what came stays for the next try.
void pull(const ExchangePtr& x, Services& services, const std::string& id) {
  using Clock = std::chrono::steady_clock;
  x->notes().model = id;
  auto left = std::make_shared<std::atomic<bool>>(false);
  auto work = [x, left, id](std::stop_token stop) {
    auto say = [&x](const Json& value) {
      x->post([x, text = event(value)] {
        if (!x->begun()) {
          x->begin(200, kEventStream);
        }
        x->write(text);
      });
    };
    Clock::time_point last = {};
    hub::PullOptions options;
    options.cancelled = [&] { return stop.stop_requested() || *left; };
    options.progress = [&](const hub::PullProgress& progress) {
      if (Clock::now() - last < std::chrono::milliseconds(100)) {
        return;
      }
      last = Clock::now();
      say(
          {{"type", "model.pull.progress"},
           {"file", progress.file},
           {"received_bytes", progress.received_bytes},
           {"total_bytes", progress.total_bytes}});
    };
    std::optional<Error> failure;
    try {
      hub::pull_model(id, options);
    } catch (const Error& error) {
      failure = error;
    } catch (const std::exception& error) {
      failure = Error(ErrorKind::internal, error.what());
    }
    if (!failure) {
      say({{"type", "model.pull.done"}, {"id", id}});
    }
    x->post([x, failure] {
      if (failure) {
        throw ApiError(*failure, "model");
      }
      x->end();
    });
  };
  if (!services.downloads.start(std::move(work))) {
    throw Error(
        ErrorKind::busy,
        std::to_string(Downloads::most) + " downloads are running already",
        "wait for one to end, then ask again");
  }
  x->on_close([left] { *left = true; });
}

} // namespace

void add_model_routes(Router& router, Services& s) {
  router.add(
      {.method = "GET",
       .pattern = "/v1/models",
       .handler = [&s](const ExchangePtr& x) {
         Json list = Json::array();
         for (const auto& info : s.engine.models()) {
           list.push_back(describe(info));
         }
         x->respond(
             {.body = dump({{"object", "list"}, {"data", list}}) + "\n"});
       }});
  router.add(
      {.method = "POST",
       .pattern = "/v1/models",
       .handler = [&s](const ExchangePtr& x) { load(x, s, named_model(*x)); },
       .max_body = 4096});
  router.add(
      {.method = "POST",
       .pattern = "/v1/models/pull",
       .handler = [&s](const ExchangePtr& x) { pull(x, s, named_model(*x)); },
       .max_body = 4096});
  router.add(
      {.method = "DELETE",
       .pattern = "/v1/models",
       .handler = [&s](const ExchangePtr& x) {
         unload(x, s, named_model(*x));
       }});
  router.add(
      {.method = "POST",
       .pattern = "/v1/models/*/load",
       .handler = [&s](const ExchangePtr& x) {
         load(x, s, x->request().rest);
       }});
  router.add(
      {.method = "POST",
       .pattern = "/v1/models/*/unload",
       .handler = [&s](const ExchangePtr& x) {
         unload(x, s, x->request().rest);
       }});
  router.add(
      {.method = "GET",
       .pattern = "/v1/models/*",
       .handler = [&s](const ExchangePtr& x) {
         auto info = s.engine.model(x->request().rest);
         x->respond({.body = dump(describe(info)) + "\n"});
       }});
  router.add(
      {.method = "DELETE",
       .pattern = "/v1/models/*",
       .handler = [&s](const ExchangePtr& x) {
         unload(x, s, x->request().rest);
       }});
}

} // namespace mlx_audio::server
