// The response to one HTTP request: its head, its body whole or in chunks, its
// line in the log.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/any_io_executor.hpp>

#include "server/exchange.h"
#include "server/metrics.h"

namespace mlx_audio::server {

/// What a response needs of its connection.
class ResponseChannel {
 public:
  virtual ~ResponseChannel() = default;
  virtual boost::asio::any_io_executor executor() = 0;
  virtual bool http_1_0() const = 0;
  virtual bool keep_alive() const = 0;
  virtual void drop_keep_alive() = 0;
  virtual void send(std::string bytes) = 0;
  virtual size_t unsent() const = 0;
  virtual void response_done() = 0;
  /// Closes the connection at once.
  virtual void cut() = 0;
};

class HttpExchange : public Exchange,
                     public std::enable_shared_from_this<HttpExchange> {
 public:
  HttpExchange(
      std::shared_ptr<ResponseChannel> channel,
      Metrics& metrics,
      Request request)
      : channel_(std::move(channel)),
        metrics_(metrics),
        request_(std::move(request)) {}

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

  using Clock = std::chrono::steady_clock;

  std::shared_ptr<ResponseChannel> channel_;
  Metrics& metrics_;
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

} // namespace mlx_audio::server
