// One HTTP request and its response, as a route's handler sees them: nothing of
// sockets, nothing of Boost.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/api_error.h"

namespace mlx_audio::server {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct Request {
  std::string id; ///< x-request-id
  std::string method; ///< "GET"
  std::string path; ///< decoded, e.g. "/v1/models/org/name"
  std::string rest; ///< what a route's "*" stands for
  std::vector<std::pair<std::string, std::string>> query; ///< decoded
  std::map<std::string, std::string> headers; ///< names in lower case
  std::string body;
  std::string remote; ///< address of the client

  /// Empty if it is not there.
  std::string header(const std::string& name) const;
  std::optional<std::string> parameter(std::string_view name) const;
};

struct Response {
  int status = 200;
  std::string type = "application/json";
  std::string body = {};
  Headers headers = {};
};

/// For logs and metrics; filled in by handlers on the strand.
struct Notes {
  std::string model;
  double audio_seconds = 0; ///< made or heard
  double compute_seconds = 0;
  double queue_seconds = -1;
  double first_seconds = -1; ///< to the first byte of the body
};

/// Shared by the connection, the handler and the engine's callbacks. What has
/// no other note must be called on the connection's strand: in the handler
/// itself or in a function given to post(). After the client has gone all of it
/// does nothing.
class Exchange {
 public:
  virtual ~Exchange() = default;

  virtual const Request& request() const = 0;
  virtual Request& request() = 0;

  /// Runs `work` on the strand, in order. From any thread. An ApiError or Error
  /// that it throws becomes the response, or ends the stream.
  virtual void post(std::function<void()> work) = 0;

  /// The whole response.
  virtual void respond(Response response) = 0;
  /// The start of a response that is written piece by piece (chunked).
  virtual void
  begin(int status, const std::string& type, const Headers& headers = {}) = 0;
  virtual void write(std::string bytes) = 0;
  virtual void end() = 0;
  /// A response in OpenAI's shape; if one has begun, an event with the error
  /// for event streams, and the connection is cut in either case, so that
  /// nobody takes half for the whole.
  virtual void fail(const ApiError& error) = 0;

  virtual bool begun() const = 0;
  /// False once the response has ended or the client has gone.
  virtual bool open() const = 0;
  /// Bytes that the client has not taken yet.
  virtual size_t unsent() const = 0;

  /// Called on the strand if the client leaves, or the time limit ends, before
  /// the response is complete.
  virtual void on_close(std::function<void()> callback) = 0;

  virtual Notes& notes() = 0;
};

using ExchangePtr = std::shared_ptr<Exchange>;

} // namespace mlx_audio::server
