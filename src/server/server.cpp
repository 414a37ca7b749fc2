#include "server/server.h"

#include <thread>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <sys/resource.h>

#include "server/connection.h"
#include "server/downloads.h"
#include "server/log.h"
#include "server/realtime/client_secrets.h"
#include "server/services.h"
#include "server/voice_shelf.h"

namespace mlx_audio::server {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;
using ErrorCode = boost::system::error_code;

namespace {

void allow_many_sockets() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
}

EngineOptions with_log(EngineOptions options, Metrics& metrics) {
  options.on_model = [&metrics](
                         const std::string& event,
                         const ModelInfo& info,
                         const std::string& error) {
    if (event == "loaded") {
      metrics.count("mlx_audio_model_loads_total", {{"model", info.id}});
    }
    Json line = {
        {"model", info.id},
        {"architecture", info.architecture},
        {"memory_bytes", info.memory_bytes}};
    if (!error.empty()) {
      line["folder"] = info.path;
      line["error"] = error;
    }
    log(error.empty() ? LogLevel::info : LogLevel::error,
        "model_" + event,
        line);
  };
  return options;
}

} // namespace

struct Server::State {
  explicit State(ServerOptions given)
      : options(std::move(given)),
        access(options),
        hub(options, router, access, metrics),
        engine(with_log(options.engine, metrics)),
        services{options, engine, metrics, voices, secrets, downloads} {
    allow_many_sockets();
    add_routes(router, services);
    access.accept_also([this](const Request& request, const std::string& key) {
      return request.path == "/v1/realtime" &&
          secrets.find(key, std::time(nullptr)).has_value();
    });
    bind();
  }

  void bind();
  void accept();
  void drain();
  void wait_for_requests(std::chrono::steady_clock::time_point until);
  void preload();

  ServerOptions options;
  Metrics metrics;
  Access access;
  VoiceShelf voices;
  ClientSecrets secrets;
  Router router;
  Hub hub;
  asio::io_context context;
  tcp::acceptor acceptor{context};
  asio::steady_timer accept_timer{context};
  asio::steady_timer drain_timer{context};
  // Ends first: its callbacks hold connections, which need the context.
  Engine engine;
  Downloads downloads; // likewise
  Services services;
  std::atomic<bool> stopping = false;
};

void Server::State::bind() {
  auto fail = [&](const std::string& what) {
    throw Error(
        ErrorKind::io,
        "cannot listen on " + options.host + ":" +
            std::to_string(options.port) + ": " + what,
        "choose another --host or --port");
  };
  ErrorCode error;
  tcp::resolver resolver(context);
  auto found = resolver.resolve(
      options.host,
      std::to_string(options.port),
      tcp::resolver::passive,
      error);
  if (error || found.empty()) {
    fail(error.message());
  }
  tcp::endpoint endpoint = found.begin()->endpoint();
  acceptor.open(endpoint.protocol(), error);
  if (!error) {
    acceptor.set_option(tcp::acceptor::reuse_address(true), error);
    acceptor.bind(endpoint, error);
  }
  if (!error) {
    acceptor.listen(1024, error);
  }
  if (error) {
    fail(error.message());
  }
}

void Server::State::accept() {
  acceptor.async_accept(
      asio::make_strand(context), [this](ErrorCode error, tcp::socket socket) {
        if (error == asio::error::operation_aborted) {
          return;
        }
        if (error || hub.connections >= options.max_connections) {
          // Out of descriptors, or full: who waits outside costs nothing.
          ErrorCode ignored;
          socket.close(ignored);
          accept_timer.expires_after(std::chrono::milliseconds(20));
          accept_timer.async_wait([this](ErrorCode stop) {
            if (!stop) {
              accept();
            }
          });
          return;
        }
        serve_connection(std::move(socket), hub);
        accept();
      });
}

void Server::State::wait_for_requests(
    std::chrono::steady_clock::time_point until) {
  auto stats = engine.stats();
  bool done = stats.queued + stats.active == 0;
  if (done || std::chrono::steady_clock::now() >= until) {
    if (!done) {
      log(LogLevel::warning,
          "drain_cut",
          {{"requests", stats.queued + stats.active}});
      engine.cancel_all();
    }
    hub.close_web_sockets();
    // Time for the last bytes to leave.
    drain_timer.expires_after(std::chrono::milliseconds(300));
    drain_timer.async_wait([this](ErrorCode) { context.stop(); });
    return;
  }
  drain_timer.expires_after(std::chrono::milliseconds(50));
  drain_timer.async_wait([this, until](ErrorCode error) {
    if (!error) {
      wait_for_requests(until);
    }
  });
}

void Server::State::drain() {
  if (stopping.exchange(true)) {
    return;
  }
  log(LogLevel::info, "draining", {{"requests", engine.stats().active}});
  engine.drain();
  hub.draining = true;
  wait_for_requests(
      std::chrono::steady_clock::now() +
      std::chrono::milliseconds(
          static_cast<int64_t>(options.drain_seconds * 1000)));
}

void Server::State::preload() {
  for (const auto& id : options.preload) {
    engine.load(id, [id](const Error* error) {
      if (error != nullptr) {
        log(LogLevel::error,
            "preload_failed",
            {{"model", id}, {"error", error->what()}});
      }
    });
  }
}

Server::Server(ServerOptions options)
    : state_(std::make_unique<State>(std::move(options))) {}

Server::~Server() {
  state_->context.stop();
}

uint16_t Server::port() const {
  return state_->acceptor.local_endpoint().port();
}

Engine& Server::engine() {
  return state_->engine;
}

void Server::stop() {
  asio::post(state_->context, [this] { state_->drain(); });
}

void Server::run() {
  auto& state = *state_;
  asio::signal_set signals(state.context, SIGINT, SIGTERM);
  std::function<void(ErrorCode, int)> on_signal = [&](ErrorCode error,
                                                      int signal) {
    if (error) {
      return;
    }
    if (state.stopping) {
      remove_unfinished_files();
      _exit(128 + signal);
    }
    state.drain();
    signals.async_wait(on_signal);
  };
  signals.async_wait(on_signal);
  state.preload();
  state.accept();
  std::vector<std::thread> threads;
  for (int i = 1; i < state.options.threads; ++i) {
    threads.emplace_back([&] { state.context.run(); });
  }
  state.context.run();
  for (auto& thread : threads) {
    thread.join();
  }
  log(LogLevel::info, "stopped", Json::object());
}

} // namespace mlx_audio::server
