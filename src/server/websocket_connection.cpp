#include "server/websocket_connection.h"

#include <deque>

#include <boost/asio/post.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>

#include "server/log.h"

namespace mlx_audio::server {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace websocket = beast::websocket;
using tcp = asio::ip::tcp;
using ErrorCode = boost::system::error_code;
using UpgradeRequest = http::request<http::string_body>;

namespace {

constexpr size_t max_message = 16 << 20; // bytes, OpenAI's limit of an append
constexpr size_t max_unsent = 8 << 20; // bytes that a client may leave unread

class WebSocketConnection
    : public WebSocketPeer,
      public std::enable_shared_from_this<WebSocketConnection> {
 public:
  WebSocketConnection(asio::any_io_executor executor, Hub& hub, Request request)
      : executor_(std::move(executor)),
        hub_(hub),
        request_(std::move(request)) {
    ++hub_.connections;
    ++hub_.web_sockets;
  }
  ~WebSocketConnection() override {
    hub_.remove_closer(this);
    --hub_.web_sockets;
    --hub_.connections;
  }

  void make_session(const WebSocketRoute& route) {
    session_ = route(request_, shared_from_this());
  }
  void run(tcp::socket socket, UpgradeRequest upgrade);

  void send_text(std::string message) override {
    send({true, std::move(message)});
  }
  void send_binary(std::string message) override {
    send({false, std::move(message)});
  }
  void close(uint16_t code, const std::string& reason) override {
    asio::post(executor_, [self = shared_from_this(), code, reason] {
      self->begin_close(code, reason);
    });
  }
  void pause_reading(bool paused) override {
    paused_ = paused;
    if (!paused && std::exchange(held_, false)) {
      read();
    }
  }
  void post(std::function<void()> work) override {
    asio::post(executor_, [self = shared_from_this(), work = std::move(work)] {
      if (!self->ended_) {
        self->guard(work);
      }
    });
  }

 private:
  struct Message {
    bool text;
    std::string bytes;
  };

  void send(Message message) {
    asio::post(
        executor_,
        [self = shared_from_this(), message = std::move(message)]() mutable {
          self->enqueue(std::move(message));
        });
  }
  void enqueue(Message message);
  void write_next();
  void read();
  void begin_close(uint16_t code, const std::string& reason);
  void do_close();
  void end();
  void guard(const std::function<void()>& work);

  asio::any_io_executor executor_;
  Hub& hub_;
  Request request_;
  std::optional<websocket::stream<tcp::socket>> stream_;
  std::unique_ptr<WebSocketSession> session_;
  beast::flat_buffer buffer_;
  std::deque<Message> queue_;
  size_t unsent_ = 0;
  bool open_ = false;
  bool ended_ = false;
  bool closing_ = false;
  bool paused_ = false;
  bool held_ = false; // a read waits for the end of a pause
  uint16_t close_code_ = 1000;
  std::string close_reason_;
  std::chrono::steady_clock::time_point begun_ =
      std::chrono::steady_clock::now();
};

void WebSocketConnection::guard(const std::function<void()>& work) {
  try {
    work();
  } catch (const std::exception& error) {
    log(LogLevel::error,
        "defect",
        {{"id", request_.id}, {"what", error.what()}});
    begin_close(1011, "internal error");
  }
}

void WebSocketConnection::run(tcp::socket socket, UpgradeRequest upgrade) {
  stream_.emplace(std::move(socket));
  websocket::stream_base::timeout timeout;
  timeout.handshake_timeout = std::chrono::seconds(15);
  timeout.idle_timeout = std::chrono::seconds(120);
  timeout.keep_alive_pings = true;
  stream_->set_option(timeout);
  stream_->read_message_max(max_message);
  bool realtime = false;
  auto offered = request_.headers.find("sec-websocket-protocol");
  if (offered != request_.headers.end()) {
    realtime = offered->second.find("realtime") != std::string::npos;
  }
  stream_->set_option(
      websocket::stream_base::decorator(
          [id = request_.id, realtime](websocket::response_type& response) {
            response.set(http::field::server, "mlx-audio");
            response.set("x-request-id", id);
            if (realtime) {
              response.set(http::field::sec_websocket_protocol, "realtime");
            }
          }));
  auto shared = std::make_shared<UpgradeRequest>(std::move(upgrade));
  stream_->async_accept(
      *shared, [self = shared_from_this(), shared](ErrorCode error) {
        if (error) {
          self->end();
          return;
        }
        self->open_ = true;
        self->hub_.add_closer(self.get(), [weak = self->weak_from_this()] {
          if (auto peer = weak.lock()) {
            peer->close(1001, "the server stops");
          }
        });
        log(LogLevel::info,
            "websocket_open",
            {{"id", self->request_.id}, {"path", self->request_.path}});
        self->guard([&] { self->session_->on_open(); });
        self->write_next();
        self->read();
      });
}

void WebSocketConnection::read() {
  if (paused_ && !closing_) {
    held_ = true;
    return;
  }
  stream_->async_read(
      buffer_,
      [self = shared_from_this()](ErrorCode error, size_t /* bytes */) {
        if (error) {
          self->end();
          return;
        }
        auto data = self->buffer_.data();
        if (!self->closing_) {
          self->guard([&] {
            if (self->stream_->got_text()) {
              self->session_->on_text(
                  {static_cast<const char*>(data.data()), data.size()});
            } else {
              self->session_->on_binary(
                  {static_cast<const uint8_t*>(data.data()), data.size()});
            }
          });
        }
        self->buffer_.consume(self->buffer_.size());
        if (self->buffer_.capacity() > (64 << 10)) {
          self->buffer_ = {};
        }
        self->read();
      });
}

void WebSocketConnection::enqueue(Message message) {
  if (ended_ || closing_) {
    return;
  }
  unsent_ += message.bytes.size();
  if (unsent_ > max_unsent) {
    begin_close(1008, "the client does not read");
    return;
  }
  queue_.push_back(std::move(message));
  if (queue_.size() == 1 && open_) {
    write_next();
  }
}

void WebSocketConnection::write_next() {
  if (queue_.empty() || ended_) {
    return;
  }
  stream_->text(queue_.front().text);
  stream_->async_write(
      asio::buffer(queue_.front().bytes),
      [self = shared_from_this()](ErrorCode error, size_t /* bytes */) {
        if (error) {
          self->end();
          return;
        }
        self->unsent_ -= self->queue_.front().bytes.size();
        self->queue_.pop_front();
        if (!self->queue_.empty()) {
          self->write_next();
        } else if (self->closing_) {
          self->do_close();
        }
      });
}

void WebSocketConnection::begin_close(
    uint16_t code,
    const std::string& reason) {
  if (ended_ || closing_ || !open_) {
    return;
  }
  closing_ = true;
  pause_reading(false); // to see the client's answer
  close_code_ = code;
  close_reason_ = reason.substr(0, 120);
  if (queue_.empty()) {
    do_close();
  }
}

void WebSocketConnection::do_close() {
  stream_->async_close(
      websocket::close_reason(
          static_cast<websocket::close_code>(close_code_), close_reason_),
      [self = shared_from_this()](ErrorCode /* error */) { self->end(); });
}

void WebSocketConnection::end() {
  if (std::exchange(ended_, true)) {
    return;
  }
  hub_.remove_closer(this);
  if (session_) {
    guard([&] { session_->on_close(); });
  }
  double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begun_)
          .count();
  log(LogLevel::info,
      "websocket_closed",
      {{"id", request_.id}, {"path", request_.path}, {"seconds", seconds}});
  // The session may hold the peer: this breaks the circle.
  asio::post(executor_, [self = shared_from_this()] {
    self->session_.reset();
    ErrorCode ignored;
    beast::get_lowest_layer(*self->stream_).close(ignored);
  });
}

} // namespace

void accept_web_socket(
    tcp::socket& socket,
    Hub& hub,
    const WebSocketRoute& route,
    Request request,
    UpgradeRequest upgrade) {
  auto connection = std::make_shared<WebSocketConnection>(
      socket.get_executor(), hub, std::move(request));
  connection->make_session(route);
  connection->run(std::move(socket), std::move(upgrade));
}

} // namespace mlx_audio::server
