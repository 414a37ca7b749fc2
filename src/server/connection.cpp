#include "server/connection.h"

#include <chrono>
#include <cmath>
#include <random>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket/rfc6455.hpp>

#include "server/log.h"
#include "server/sse.h"
#include "server/websocket_connection.h"

namespace mlx_audio::server {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using tcp = asio::ip::tcp;
using Clock = std::chrono::steady_clock;
using ErrorCode = boost::system::error_code;

namespace {

constexpr size_t header_limit = 32 << 10; // bytes

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

Clock::duration duration(double seconds) {
  return std::chrono::duration_cast<Clock::duration>(
      std::chrono::duration<double>(seconds));
}

std::string chunk(const std::string& bytes) {
  char size[24];
  std::snprintf(size, sizeof(size), "%zx\r\n", bytes.size());
  return size + bytes + "\r\n";
}

class Connection;

class HttpExchange : public Exchange,
                     public std::enable_shared_from_this<HttpExchange> {
 public:
  HttpExchange(std::shared_ptr<Connection> connection, Request request)
      : connection_(std::move(connection)), request_(std::move(request)) {}

  const Request& request() const override {
    return request_;
  }
  Request& request() override {
    return request_;
  }
  void post(std::function<void()> work) override;
  void respond(Response response) override;
  void begin(int status, const std::string& type, const Headers& headers)
      override;
  void write(std::string bytes) override;
  void end() override;
  void fail(const ApiError& error) override;
  bool begun() const override {
    return begun_;
  }
  bool open() const override {
    return !ended_ && !gone_;
  }
  size_t unsent() const override;
  void on_close(std::function<void()> callback) override {
    close_ = std::move(callback);
  }
  Notes& notes() override {
    return notes_;
  }

  /// Runs work and answers with what it throws.
  void guard(const std::function<void()>& work);
  /// The client left or the time is over.
  void closed(int status);

  std::string route = "none"; // for metrics
  Headers extra; // of every response: CORS

 private:
  void head(
      int status,
      const std::string& type,
      const Headers& headers,
      std::optional<size_t> length);
  void answer_with(const ApiError& error);
  void finish();

  std::shared_ptr<Connection> connection_;
  Request request_;
  Notes notes_;
  Clock::time_point received_ = Clock::now();
  std::function<void()> close_;
  bool begun_ = false;
  bool ended_ = false;
  bool gone_ = false;
  bool chunked_ = false;
  bool events_ = false;
  int status_ = 0;
  size_t bytes_ = 0;
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(tcp::socket socket, Hub& hub)
      : socket_(std::move(socket)),
        hub_(hub),
        timer_(socket_.get_executor()),
        write_timer_(socket_.get_executor()) {
    ErrorCode ignored;
    socket_.set_option(tcp::no_delay(true), ignored);
    auto remote = socket_.remote_endpoint(ignored);
    remote_ = ignored ? "" : remote.address().to_string();
    ++hub_.connections;
  }
  ~Connection() {
    --hub_.connections;
  }

  void start() {
    asio::post(socket_.get_executor(), [self = shared_from_this()] {
      self->next_request();
    });
  }

  auto executor() {
    return socket_.get_executor();
  }
  Hub& hub() {
    return hub_;
  }
  bool http_1_0() const {
    return version_ < 11;
  }
  bool keep_alive() const {
    return keep_alive_ && !hub_.draining;
  }
  void drop_keep_alive() {
    keep_alive_ = false;
  }
  size_t unsent() const {
    return unsent_;
  }

  void send(std::string bytes);
  void response_done();
  /// Cuts the connection.
  void cut();

 private:
  enum class Stage { idle, header, body, response, linger };

  void next_request();
  void read_header();
  void on_header(ErrorCode error);
  void read_body();
  void on_body(ErrorCode error);
  void dispatch();
  void watch();
  void on_watched(ErrorCode error, size_t bytes);
  void upgrade();
  void refuse(const ApiError& error);
  void deadline(double seconds, Stage stage);
  void on_deadline();
  void flush();
  void lingering_close();
  void linger_read();
  void linger_on(ErrorCode error);
  Request take_request();

  tcp::socket socket_;
  Hub& hub_;
  asio::steady_timer timer_;
  asio::steady_timer write_timer_;
  Stage stage_ = Stage::idle;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  std::shared_ptr<HttpExchange> exchange_;
  Router::Match match_;
  std::string remote_;
  std::string output_;
  std::string sending_;
  size_t unsent_ = 0;
  size_t reserved_ = 0; // of upload_bytes
  size_t lingered_ = 0;
  unsigned version_ = 11;
  bool keep_alive_ = true;
  bool watching_ = false; // a read is pending that watch() began
  bool reading_ = false; // one of a header or body
  bool closing_ = false; // once everything is sent
  bool cut_ = false;
};

// ---- HttpExchange

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
      connection_->executor(),
      [self = shared_from_this(), work = std::move(work)] {
        if (self->open()) {
          self->guard(work);
        }
      });
}

size_t HttpExchange::unsent() const {
  return connection_->unsent();
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
  } else if (connection_->http_1_0()) {
    connection_->drop_keep_alive();
  } else {
    chunked_ = true;
    text += "transfer-encoding: chunked\r\n";
  }
  text += connection_->keep_alive() ? "connection: keep-alive\r\n\r\n"
                                    : "connection: close\r\n\r\n";
  connection_->send(std::move(text));
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
    connection_->send(std::move(response.body));
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
  connection_->send(chunked_ ? chunk(bytes) : std::move(bytes));
}

void HttpExchange::end() {
  if (!open()) {
    return;
  }
  if (chunked_) {
    connection_->send("0\r\n\r\n");
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
      auto connection = connection_;
      finish();
      connection->cut();
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
  connection_->hub().metrics.request_done(
      route, request_.method, status_, seconds, notes_);
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
    connection_->response_done();
  }
}

// ---- Connection

void Connection::deadline(double seconds, Stage stage) {
  stage_ = stage;
  timer_.expires_after(duration(seconds));
  timer_.async_wait([self = shared_from_this()](ErrorCode error) {
    if (!error && self->timer_.expiry() <= Clock::now()) {
      self->on_deadline();
    }
  });
}

void Connection::on_deadline() {
  switch (stage_) {
    case Stage::header:
      if (buffer_.size() > 0 || (parser_ && parser_->got_some())) {
        refuse(ApiError(408, "the request's header took too long"));
      } else {
        cut();
      }
      break;
    case Stage::body:
      refuse(ApiError(408, "the request's body took too long"));
      break;
    case Stage::response:
      if (exchange_) {
        auto exchange = exchange_;
        bool begun = exchange->begun();
        if (begun) {
          exchange->closed(408);
          cut();
        } else {
          keep_alive_ = false;
          exchange->fail(ApiError(408, "the request took too long"));
        }
      }
      break;
    default:
      cut();
  }
}

void Connection::next_request() {
  exchange_.reset();
  parser_.reset();
  hub_.upload_bytes -= std::exchange(reserved_, 0);
  if (cut_) {
    return;
  }
  if (buffer_.size() > 0) {
    read_header();
    return;
  }
  deadline(hub_.options.idle_seconds, Stage::idle);
  if (watching_) {
    return; // what it reads, into the buffer, begins the request
  }
  buffer_ = {};
  watch();
}

// Reads ahead while a response is made, so that a client that leaves is seen.
void Connection::watch() {
  watching_ = true;
  socket_.async_read_some(
      buffer_.prepare(1024),
      [self = shared_from_this()](ErrorCode error, size_t bytes) {
        self->on_watched(error, bytes);
      });
}

void Connection::on_watched(ErrorCode error, size_t bytes) {
  watching_ = false;
  if (cut_) {
    return;
  }
  if (error) {
    if (exchange_) {
      exchange_->closed(499);
    }
    cut();
    return;
  }
  buffer_.commit(bytes);
  if (closing_) {
    linger_read();
  } else if (!exchange_) {
    read_header();
  } // else it is the next request, which waits
}

void Connection::read_header() {
  parser_.emplace();
  parser_->header_limit(header_limit);
  parser_->body_limit(boost::none);
  deadline(hub_.options.header_seconds, Stage::header);
  reading_ = true;
  http::async_read_header(
      socket_,
      buffer_,
      *parser_,
      [self = shared_from_this()](ErrorCode error, size_t /* bytes */) {
        self->on_header(error);
      });
}

Request Connection::take_request() {
  const auto& message = parser_->get();
  Request request;
  request.id = new_request_id();
  request.remote = remote_;
  request.method = std::string(message.method_string());
  for (const auto& field : message) {
    std::string name(field.name_string());
    for (char& c : name) {
      c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    auto& value = request.headers[name];
    value += (value.empty() ? "" : ", ") + std::string(field.value());
  }
  return request;
}

void Connection::on_header(ErrorCode error) {
  reading_ = false;
  if (cut_) {
    return;
  }
  if (closing_) {
    linger_on(error);
    return;
  }
  if (error) {
    bool bad = error.category() ==
        http::make_error_code(http::error::end_of_stream).category();
    if (error == http::error::end_of_stream || !bad) {
      cut();
    } else if (error == http::error::header_limit) {
      refuse(ApiError(431, "the request's header is too large"));
    } else {
      refuse(ApiError(400, "this is no HTTP request that can be read"));
    }
    return;
  }
  const auto& message = parser_->get();
  version_ = message.version();
  keep_alive_ = message.keep_alive();
  Request request = take_request();
  std::string target(message.target());
  std::string expect = request.header("expect");
  exchange_ =
      std::make_shared<HttpExchange>(shared_from_this(), std::move(request));
  auto exchange = exchange_;
  bool go_on = false;
  exchange->guard([&] {
    Request& r = exchange->request();
    parse_target(target, r);
    const Access& access = hub_.access;
    access.check_origin(r);
    exchange->extra = access.cors(r);
    if (r.method == "OPTIONS" &&
        !r.header("access-control-request-method").empty()) {
      exchange->route = "preflight";
      exchange->respond(
          {.status = 204,
           .headers = {
               {"access-control-allow-methods", "GET, POST, DELETE, OPTIONS"},
               {"access-control-allow-headers",
                r.header("access-control-request-headers")},
               {"access-control-max-age", "600"}}});
      return;
    }
    if (beast::websocket::is_upgrade(message)) {
      access.check_key(r);
      upgrade();
      return;
    }
    match_ = hub_.router.find(r.method, r.path);
    if (match_.route == nullptr) {
      access.check_key(r);
      if (match_.allowed.empty()) {
        throw ApiError(
            404, "there is nothing at '" + r.path.substr(0, 200) + "'");
      }
      exchange->extra.emplace_back("allow", match_.allowed);
      throw ApiError(
          405, r.path.substr(0, 200) + " takes " + match_.allowed + " only");
    }
    exchange->route = match_.route->pattern;
    r.rest = match_.rest;
    if (!match_.route->open) {
      access.check_key(r);
    }
    auto length = parser_->content_length();
    size_t most = std::max<size_t>(match_.route->max_body, 4096);
    if (length && *length > most) {
      throw ApiError(
          413, "the body is larger than " + std::to_string(most) + " bytes");
    }
    reserved_ = static_cast<size_t>(length.value_or(0));
    if (hub_.upload_bytes.fetch_add(reserved_) + reserved_ >
        hub_.options.max_uploads_in_memory) {
      throw ApiError(429, "too many uploads at once: try again later");
    }
    parser_->body_limit(most);
    go_on = true;
  });
  if (cut_) {
    exchange_.reset(); // the WebSocket has the socket
  }
  if (!go_on) {
    return;
  }
  if (!expect.empty() && version_ >= 11) {
    send("HTTP/1.1 100 Continue\r\n\r\n");
  }
  read_body();
}

void Connection::read_body() {
  double extra =
      static_cast<double>(parser_->content_length().value_or(0)) / (64 << 10);
  deadline(hub_.options.body_seconds + extra, Stage::body);
  reading_ = true;
  http::async_read(
      socket_,
      buffer_,
      *parser_,
      [self = shared_from_this()](ErrorCode error, size_t /* bytes */) {
        self->on_body(error);
      });
}

void Connection::on_body(ErrorCode error) {
  reading_ = false;
  if (cut_) {
    return;
  }
  if (closing_ || !exchange_ || !exchange_->open()) {
    linger_on(error);
    return;
  }
  if (error) {
    if (error == http::error::body_limit) {
      refuse(ApiError(413, "the body is too large"));
    } else if (
        error == http::error::partial_message ||
        error.category() !=
            http::make_error_code(http::error::end_of_stream).category()) {
      exchange_->closed(499);
      cut();
    } else {
      refuse(ApiError(400, "the body is not framed as HTTP wants it"));
    }
    return;
  }
  dispatch();
}

void Connection::dispatch() {
  deadline(hub_.options.request_seconds, Stage::response);
  auto exchange = exchange_;
  exchange->request().body = std::move(parser_->get().body());
  parser_.reset();
  if (!watching_) {
    watch();
  }
  exchange->guard([&] { match_.route->handler(exchange); });
}

void Connection::refuse(const ApiError& error) {
  keep_alive_ = false;
  if (!exchange_) {
    Request request;
    request.id = new_request_id();
    request.remote = remote_;
    exchange_ =
        std::make_shared<HttpExchange>(shared_from_this(), std::move(request));
  }
  exchange_->fail(error);
}

void Connection::upgrade() {
  auto exchange = exchange_;
  const auto* route = hub_.router.find_web_socket(exchange->request().path);
  if (route == nullptr) {
    throw ApiError(404, "no WebSocket at '" + exchange->request().path + "'");
  }
  exchange->route = exchange->request().path;
  timer_.cancel();
  Request request = exchange->request();
  accept_web_socket(
      socket_, hub_, *route, std::move(request), parser_->release());
  cut_ = true; // the socket has moved on
}

void Connection::send(std::string bytes) {
  if (cut_) {
    return;
  }
  unsent_ += bytes.size();
  if (output_.empty()) {
    output_ = std::move(bytes);
  } else {
    output_ += bytes;
  }
  if (sending_.empty()) {
    flush();
  }
}

void Connection::flush() {
  sending_ = std::move(output_);
  output_.clear();
  write_timer_.expires_after(duration(hub_.options.write_seconds));
  write_timer_.async_wait([self = shared_from_this()](ErrorCode error) {
    if (!error && self->write_timer_.expiry() <= Clock::now()) {
      if (self->exchange_) {
        self->exchange_->closed(499);
      }
      self->cut();
    }
  });
  asio::async_write(
      socket_,
      asio::buffer(sending_),
      [self = shared_from_this()](ErrorCode error, size_t /* bytes */) {
        self->unsent_ -= self->sending_.size();
        self->sending_.clear();
        self->write_timer_.cancel();
        if (self->cut_) {
          return;
        }
        if (error) {
          if (self->exchange_) {
            self->exchange_->closed(499);
          }
          self->cut();
        } else if (!self->output_.empty()) {
          self->flush();
        } else if (self->closing_) {
          self->lingering_close();
        }
      });
}

void Connection::response_done() {
  if (cut_) {
    return;
  }
  // A body that was not read cannot be told from the next request.
  if (!keep_alive() || parser_) {
    closing_ = true;
    exchange_.reset();
    hub_.upload_bytes -= std::exchange(reserved_, 0);
    deadline(hub_.options.write_seconds, Stage::linger);
    if (sending_.empty()) {
      lingering_close();
    }
    return;
  }
  asio::post(executor(), [self = shared_from_this()] { self->next_request(); });
}

// Lets a client that still sends read the response before the connection ends.
void Connection::lingering_close() {
  ErrorCode ignored;
  socket_.shutdown(tcp::socket::shutdown_send, ignored);
  deadline(5, Stage::linger);
  if (!watching_ && !reading_) {
    linger_read();
  }
}

// A read that was pending when the response went out has ended.
void Connection::linger_on(ErrorCode error) {
  if (error) {
    cut();
  } else if (sending_.empty()) {
    linger_read();
  }
}

void Connection::linger_read() {
  buffer_.clear();
  socket_.async_read_some(
      buffer_.prepare(16 << 10),
      [self = shared_from_this()](ErrorCode error, size_t bytes) {
        self->lingered_ += bytes;
        if (error || self->cut_ || self->lingered_ > (size_t{256} << 20)) {
          self->cut();
        } else {
          self->linger_read();
        }
      });
}

void Connection::cut() {
  if (std::exchange(cut_, true)) {
    return;
  }
  exchange_.reset();
  hub_.upload_bytes -= std::exchange(reserved_, 0);
  timer_.cancel();
  write_timer_.cancel();
  ErrorCode ignored;
  socket_.close(ignored);
}

} // namespace

void serve_connection(tcp::socket socket, Hub& hub) {
  std::make_shared<Connection>(std::move(socket), hub)->start();
}

std::string new_request_id() {
  static std::atomic<uint64_t> counter = std::random_device()();
  thread_local std::mt19937_64 random{counter += 0x9e3779b97f4a7c15};
  char text[40];
  std::snprintf(
      text,
      sizeof(text),
      "req_%016llx%08llx",
      static_cast<unsigned long long>(random()),
      static_cast<unsigned long long>(random() & 0xffffffff));
  return text;
}

void Hub::add_closer(const void* who, std::function<void()> close) {
  std::lock_guard lock(mutex_);
  closers_[who] = std::move(close);
}

void Hub::remove_closer(const void* who) {
  std::lock_guard lock(mutex_);
  closers_.erase(who);
}

void Hub::close_web_sockets() {
  std::map<const void*, std::function<void()>> all;
  {
    std::lock_guard lock(mutex_);
    all = closers_;
  }
  for (const auto& [who, close] : all) {
    close();
  }
}

} // namespace mlx_audio::server
