#include "server/http_exchange.h"

#include <cmath>
#include <cstdio>
#include <new>
#include <utility>

#include <boost/asio/post.hpp>
#include <boost/beast/http/status.hpp>

#include "server/log.h"
#include "server/sse.h"

namespace mlx_audio::server {

namespace asio = boost::asio;
namespace http = boost::beast::http;

namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
      .count();
}

std::string chunk(const std::string& bytes) {
  char size[24];
  std::snprintf(size, sizeof(size), "%zx\r\n", bytes.size());
  return size + bytes + "\r\n";
}

} // namespace

void HttpExchange::guard(const std::function<void()>& work) {
  try {
    work();
  } catch (const ApiError& error) {
    fail(error);
  } catch (const Error& error) {
    fail(ApiError(error));
  } catch (const std::bad_alloc&) {
    fail(ApiError(507, "there is not enough memory"));
  } catch (const std::exception& error) {
    log(LogLevel::error,
        "defect",
        {{"id", request_.id}, {"what", error.what()}});
    fail(ApiError(500, "an error of the server's own", "", "internal"));
  }
}

void HttpExchange::post(std::function<void()> work) {
  asio::post(
      channel_->executor(),
      [self = shared_from_this(), work = std::move(work)] {
        if (self->open()) {
          self->guard(work);
        }
      });
}

size_t HttpExchange::unsent() const {
  return channel_->unsent();
}

void HttpExchange::head(
    int status,
    const std::string& type,
    const Headers& headers,
    std::optional<size_t> length) {
  begun_ = true;
  status_ = status;
  std::string text = "HTTP/1.1 " + std::to_string(status) + " " +
      std::string(http::obsolete_reason(static_cast<http::status>(status))) +
      "\r\nserver: mlx-audio\r\nx-request-id: " + request_.id + "\r\n";
  if (!type.empty()) {
    text += "content-type: " + type + "\r\n";
  }
  text += "x-content-type-options: nosniff\r\n";
  for (const Headers* list : {&headers, &std::as_const(extra)}) {
    for (const auto& [name, value] : *list) {
      text += name + ": " + value + "\r\n";
    }
  }
  if (length) {
    text += "content-length: " + std::to_string(*length) + "\r\n";
  } else if (channel_->http_1_0()) {
    channel_->drop_keep_alive();
  } else {
    chunked_ = true;
    text += "transfer-encoding: chunked\r\n";
  }
  text += channel_->keep_alive() ? "connection: keep-alive\r\n\r\n"
                                 : "connection: close\r\n\r\n";
  channel_->send(std::move(text));
}

void HttpExchange::respond(Response response) {
  if (!open() || begun_) {
    return;
  }
  notes_.first_seconds = seconds_since(received_);
  bool no_body = response.status == 204 || response.status == 304;
  head(
      response.status,
      no_body ? "" : response.type,
      response.headers,
      no_body ? std::optional<size_t>() : response.body.size());
  if (no_body) {
    chunked_ = false;
  }
  bytes_ = response.body.size();
  if (request_.method != "HEAD" && !no_body) {
    channel_->send(std::move(response.body));
  }
  finish();
}

void HttpExchange::begin(
    int status,
    const std::string& type,
    const Headers& headers) {
  if (!open() || begun_) {
    return;
  }
  events_ = type == kEventStream;
  Headers all = headers;
  if (events_) {
    all.emplace_back("cache-control", "no-cache");
    all.emplace_back("x-accel-buffering", "no");
  }
  head(status, type, all, {});
}

void HttpExchange::write(std::string bytes) {
  if (!open() || bytes.empty()) {
    return;
  }
  if (notes_.first_seconds < 0) {
    notes_.first_seconds = seconds_since(received_);
  }
  bytes_ += bytes.size();
  channel_->send(chunked_ ? chunk(bytes) : std::move(bytes));
}

void HttpExchange::end() {
  if (!open()) {
    return;
  }
  if (chunked_) {
    channel_->send("0\r\n\r\n");
  }
  finish();
}

void HttpExchange::fail(const ApiError& error) {
  if (!open()) {
    return;
  }
  auto close = std::exchange(close_, nullptr);
  answer_with(error);
  if (close) {
    close(); // what still works on it has no one to work for
  }
}

void HttpExchange::answer_with(const ApiError& error) {
  if (begun_) {
    status_ = error.status();
    if (events_) {
      write("data: " + error.event() + "\n\n");
      end();
    } else {
      auto channel = channel_;
      finish();
      channel->cut();
    }
    return;
  }
  Response response;
  response.status = error.status();
  response.body = error.body();
  if (error.status() == 429) {
    response.headers.emplace_back("retry-after", "1");
  } else if (error.status() == 503) {
    response.headers.emplace_back("retry-after", "2");
  } else if (error.status() == 401) {
    response.headers.emplace_back("www-authenticate", "Bearer");
  } else if (error.status() == 408 || error.status() == 507) {
    // The client would only repeat what is too much.
    response.headers.emplace_back("x-should-retry", "false");
  }
  respond(std::move(response));
}

void HttpExchange::closed(int status) {
  if (!open()) {
    return;
  }
  gone_ = true;
  status_ = status;
  auto close = std::move(close_);
  close_ = nullptr;
  finish();
  if (close) {
    close();
  }
}

void HttpExchange::finish() {
  ended_ = true;
  double seconds = seconds_since(received_);
  metrics_.request_done(route, request_.method, status_, seconds, notes_);
  Json line = {
      {"id", request_.id},
      {"method", request_.method},
      {"path", request_.path},
      {"status", status_},
      {"bytes", bytes_},
      {"ms", std::round(seconds * 1e4) / 10},
      {"from", request_.remote}};
  auto add = [&](const char* name, double value) {
    if (value > 0) {
      line[name] = std::round(value * 1e4) / 10;
    }
  };
  if (!notes_.model.empty()) {
    line["model"] = notes_.model;
    add("queue_ms", notes_.queue_seconds);
    add("first_ms", notes_.first_seconds);
    add("compute_ms", notes_.compute_seconds);
    add("audio_ms", notes_.audio_seconds);
  }
  log(route == "/health" || route == "/health/*" ? LogLevel::debug
                                                 : LogLevel::info,
      "request",
      line);
  if (!gone_) {
    close_ = nullptr;
    channel_->response_done();
  }
}

} // namespace mlx_audio::server
