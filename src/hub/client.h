// Requests to the Hub: its address and credentials, redirects, and what to do
// when it says no.
#pragma once

#include <functional>
#include <string>

#include "hub/http.h"
#include "hub/listing.h"

namespace mlx_audio::hub {

/// HF_ENDPOINT or https://huggingface.co, without a slash at its end.
/// invalid_argument if it is no http(s) address.
std::string hub_endpoint();

/// HF_TOKEN, or the file that `hf auth login` writes; empty if there is none or
/// HF_HUB_DISABLE_IMPLICIT_TOKEN is set (and HF_TOKEN is not).
std::string hub_token();

/// Whether HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) is set.
bool is_offline();

class Client {
 public:
  using Cancelled = std::function<bool()>;
  using Waiting = std::function<void(double seconds)>;

  /// @param waiting is told for how long the client pauses, then 0.
  Client(std::string repo, Cancelled cancelled = {}, Waiting waiting = {});

  const std::string& endpoint() const {
    return endpoint_;
  }

  /// One try. Redirects are followed; the token goes to the endpoint's own
  /// host, scheme and port only. What the first answer says about the file
  /// (x-repo-commit, x-linked-etag, x-linked-size) is in the result's headers.
  HttpResponse once(HttpRequest request) const;

  /// Tries until the answer is good; else throws as Retry does.
  HttpResponse request(const HttpRequest& request) const;

  /// Throws `cancelled` if the caller wants no more.
  void check_cancelled() const;

 private:
  friend class Retry;
  std::string repo_;
  std::string endpoint_;
  std::string token_;
  Cancelled cancelled_;
  Waiting waiting_;
};

/// What is in a repository at a revision (empty: main).
Listing fetch_listing(
    const Client& client,
    const std::string& repo,
    const std::string& revision);

/// The tries of one request: waits after one that failed in a way that may
/// pass, for as long as the Hub asks or longer each time; throws when it is of
/// no use or after six in a row.
class Retry {
 public:
  explicit Retry(const Client& client) : client_(client) {}

  void after(const HttpResponse& response);
  void progressed() {
    failures_ = 0;
  }

 private:
  [[noreturn]] void give_up(const HttpResponse& response, double wait) const;
  void pause(double seconds) const;

  const Client& client_;
  int failures_ = 0;
};

} // namespace mlx_audio::hub
