#include "server/connection.h"

#include <chrono>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket/rfc6455.hpp>

#include "server/admission.h"
#include "server/http_exchange.h"
#include "server/outbox.h"
#include "server/request_id.h"
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

Clock::duration duration(double seconds) {
  return std::chrono::duration_cast<Clock::duration>(
      std::chrono::duration<double>(seconds));
}

class Connection : public ResponseChannel,
                   public Outbox::Owner,
                   public std::enable_shared_from_this<Connection> {
 public:
  Connection(tcp::socket socket, Hub& hub)
      : socket_(std::move(socket)),
        hub_(hub),
        timer_(socket_.get_executor()),
        outbox_(socket_, hub.options.write_seconds) {
    ErrorCode ignored;
    socket_.set_option(tcp::no_delay(true), ignored);
    auto remote = socket_.remote_endpoint(ignored);
    remote_ = ignored ? "" : remote.address().to_string();
    ++hub_.connections;
  }
  ~Connection() override {
    --hub_.connections;
  }

  void start() {
    asio::post(socket_.get_executor(), [self = shared_from_this()] {
      self->next_request();
    });
  }

  asio::any_io_executor executor() override {
    return socket_.get_executor();
  }
  bool http_1_0() const override {
    return version_ < 11;
  }
  bool keep_alive() const override {
    return keep_alive_ && !hub_.draining;
  }
  void drop_keep_alive() override {
    keep_alive_ = false;
  }
  void send(std::string bytes) override {
    outbox_.send(std::move(bytes), shared_from_this());
  }
  size_t unsent() const override {
    return outbox_.unsent();
  }
  void response_done() override;
  void cut() override;

  void all_sent() override;
  void sending_failed() override;

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
  void upgrade(const WebSocketRoute& route);
  void reserve(size_t bytes);
  void refuse(const ApiError& error);
  void deadline(double seconds, Stage stage);
  void on_deadline();
  void lingering_close();
  void linger_read();
  void linger_on(ErrorCode error);
  Request take_request();
  std::shared_ptr<HttpExchange> make_exchange(Request request);

  tcp::socket socket_;
  Hub& hub_;
  asio::steady_timer timer_;
  Outbox outbox_;
  Stage stage_ = Stage::idle;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  std::shared_ptr<HttpExchange> exchange_;
  const Route* route_ = nullptr;
  std::string remote_;
  size_t reserved_ = 0; // of upload_bytes
  size_t lingered_ = 0;
  unsigned version_ = 11;
  bool keep_alive_ = true;
  bool watching_ = false; // a read is pending that watch() began
  bool reading_ = false; // one of a header or body
  bool closing_ = false; // once everything is sent
  bool cut_ = false;
};

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

std::shared_ptr<HttpExchange> Connection::make_exchange(Request request) {
  return std::make_shared<HttpExchange>(
      shared_from_this(), hub_.metrics, std::move(request));
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
  exchange_ = make_exchange(std::move(request));
  auto exchange = exchange_;
  bool go_on = false;
  exchange->guard([&] {
    std::optional<uint64_t> length;
    if (auto stated = parser_->content_length()) {
      length = *stated;
    }
    auto admission = admit(
        {.target = target,
         .is_upgrade = beast::websocket::is_upgrade(message),
         .content_length = length},
        hub_,
        *exchange);
    if (!admission) {
      return;
    }
    if (admission->web_socket != nullptr) {
      upgrade(*admission->web_socket);
      return;
    }
    reserve(static_cast<size_t>(length.value_or(0)));
    parser_->body_limit(admission->max_body);
    route_ = admission->route;
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
  exchange->guard([&] { route_->handler(exchange); });
}

void Connection::refuse(const ApiError& error) {
  keep_alive_ = false;
  if (!exchange_) {
    Request request;
    request.id = new_request_id();
    request.remote = remote_;
    exchange_ = make_exchange(std::move(request));
  }
  exchange_->fail(error);
}

void Connection::upgrade(const WebSocketRoute& route) {
  timer_.cancel();
  Request request = exchange_->request();
  accept_web_socket(
      socket_, hub_, route, std::move(request), parser_->release());
  outbox_.stop();
  cut_ = true; // the socket has moved on
}

// Counts a body among those that are held in memory.
void Connection::reserve(size_t bytes) {
  reserved_ = bytes;
  if (hub_.upload_bytes.fetch_add(bytes) + bytes >
      hub_.options.max_uploads_in_memory) {
    throw ApiError(429, "too many uploads at once: try again later");
  }
}

void Connection::all_sent() {
  if (closing_) {
    lingering_close();
  }
}

void Connection::sending_failed() {
  if (exchange_) {
    exchange_->closed(499);
  }
  cut();
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
    if (outbox_.idle()) {
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
  } else if (outbox_.idle()) {
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
  outbox_.stop();
  ErrorCode ignored;
  socket_.close(ignored);
}

} // namespace

void serve_connection(tcp::socket socket, Hub& hub) {
  std::make_shared<Connection>(std::move(socket), hub)->start();
}

} // namespace mlx_audio::server
