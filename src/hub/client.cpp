#include "hub/client.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <thread>

#include "hub/environment.h"
#include "mlx_audio/error.h"

namespace mlx_audio::hub {

namespace {

constexpr int max_redirects = 10;
constexpr int max_failures = 6;
constexpr double longest_wait = 600; // seconds

std::string trimmed(const std::string& text) {
  size_t start = text.find_first_not_of(" \t\r\n");
  size_t end = text.find_last_not_of(" \t\r\n");
  return start == std::string::npos ? "" : text.substr(start, end + 1 - start);
}

bool is_good(const HttpResponse& response) {
  return response.status >= 200 && response.status < 300 &&
      response.failure.empty();
}

bool may_pass(const HttpResponse& response) {
  return response.status == 0 || !response.failure.empty() ||
      response.status == 408 || response.status == 429 ||
      response.status == 500 || response.status == 502 ||
      response.status == 503 || response.status == 504;
}

// Seconds to wait by Retry-After (seconds or a date) or the Hub's RateLimit
// header ("api";r=0;t=55); negative if the answer does not say.
double asked_wait(const HttpResponse& response) {
  std::string after = response.header("retry-after");
  if (!after.empty()) {
    char* end = nullptr;
    double seconds = std::strtod(after.c_str(), &end);
    if (end != after.c_str() && std::isfinite(seconds)) {
      return std::max(0.0, seconds);
    }
    time_t date = curl_getdate(after.c_str(), nullptr);
    if (date >= 0) {
      return std::max(0.0, std::difftime(date, std::time(nullptr)));
    }
  }
  std::string limit = response.header("ratelimit");
  size_t at = limit.find("t=");
  return response.status == 429 && at != std::string::npos
      ? std::max(0.0, std::atof(limit.c_str() + at + 2))
      : -1;
}

} // namespace

std::string hub_endpoint() {
  std::string endpoint = trimmed(environment("HF_ENDPOINT"));
  if (endpoint.empty()) {
    return "https://huggingface.co";
  }
  while (!endpoint.empty() && endpoint.back() == '/') {
    endpoint.pop_back();
  }
  if (origin_of(endpoint).empty()) {
    throw Error(
        ErrorKind::invalid_argument,
        "HF_ENDPOINT is '" + endpoint + "', which is no http address",
        "set it to something like https://huggingface.co, or unset it");
  }
  return endpoint;
}

std::string hub_token() {
  std::string token;
  for (const char* name : {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"}) {
    token = token.empty() ? trimmed(environment(name)) : token;
  }
  if (token.empty() && !environment_flag("HF_HUB_DISABLE_IMPLICIT_TOKEN")) {
    std::string path = environment("HF_TOKEN_PATH");
    if (path.empty()) {
      std::string home = environment("HF_HOME");
      path = (home.empty() ? user_cache() + "/huggingface" : home) + "/token";
    }
    std::getline(std::ifstream(path), token);
    token = trimmed(token);
  }
  bool plain = std::all_of(
      token.begin(), token.end(), [](char c) { return c > 32 && c < 127; });
  if (!plain || token.size() > 4096) {
    throw Error(
        ErrorKind::invalid_argument,
        "the Hub's token holds characters that no token has",
        "set HF_TOKEN to the token alone");
  }
  return token;
}

bool is_offline() {
  return environment_flag("HF_HUB_OFFLINE") ||
      environment_flag("TRANSFORMERS_OFFLINE");
}

Client::Client(std::string repo, Cancelled cancelled, Waiting waiting)
    : repo_(std::move(repo)),
      endpoint_(hub_endpoint()),
      token_(hub_token()),
      cancelled_(std::move(cancelled)),
      waiting_(std::move(waiting)) {}

void Client::check_cancelled() const {
  if (cancelled_ && cancelled_()) {
    throw Error(ErrorKind::cancelled, "the download was cancelled");
  }
}

HttpResponse Client::once(HttpRequest request) const {
  const std::string home = origin_of(endpoint_);
  const auto given = request.headers;
  std::map<std::string, std::string> first;
  request.cancelled = cancelled_;
  for (int hops = 0;; ++hops) {
    check_cancelled();
    request.headers = given;
    if (!token_.empty() && origin_of(request.url) == home) {
      request.headers.push_back("Authorization: Bearer " + token_);
    }
    HttpResponse response = http_request(request);
    if (response.cancelled) {
      check_cancelled();
    }
    for (const char* name :
         {"x-repo-commit", "x-linked-etag", "x-linked-size", "etag"}) {
      std::string value = response.header(name);
      if (!value.empty() && !(hops > 0 && std::string(name) == "etag")) {
        first.emplace(name, value);
      }
    }
    std::string location = response.header("location");
    bool redirect = response.status >= 301 && response.status <= 308 &&
        response.status != 304 && !location.empty() && response.failure.empty();
    if (!redirect) {
      if (hops > 0) {
        response.headers.erase("etag"); // of a store, not of the Hub
      }
      for (const auto& [name, value] : first) {
        response.headers[name] = value;
      }
      return response;
    }
    std::string next = resolve_url(request.url, location);
    bool downgrade = origin_of(request.url).rfind("https ", 0) == 0 &&
        origin_of(next).rfind("https ", 0) != 0;
    if (next.empty() || downgrade || hops == max_redirects) {
      throw Error(
          ErrorKind::unavailable,
          "'" + repo_ + "': the Hub redirects " +
              (hops == max_redirects ? "in a circle"
                                     : "to where this program does not go"));
    }
    request.url = next;
  }
}

HttpResponse Client::request(const HttpRequest& request) const {
  for (Retry retry(*this);;) {
    HttpResponse response = once(request);
    if (is_good(response)) {
      return response;
    }
    retry.after(response);
  }
}

Listing fetch_listing(
    const Client& client,
    const std::string& repo,
    const std::string& revision) {
  HttpRequest request;
  request.url = client.endpoint() + "/api/models/" + repo + "/revision/" +
      url_encode(revision.empty() ? "main" : revision) + "?blobs=true";
  request.headers = {"Accept: application/json"};
  return parse_listing(client.request(request).body);
}

void Retry::after(const HttpResponse& response) {
  ++failures_;
  double asked = asked_wait(response);
  int limit = response.unreachable ? 2 : max_failures;
  if (!may_pass(response) || failures_ >= limit || asked > longest_wait) {
    give_up(response, asked);
  }
  pause(asked >= 0 ? asked : 0.25 * std::pow(2.0, failures_ - 1));
}

void Retry::pause(double seconds) const {
  using clock = std::chrono::steady_clock;
  if (client_.waiting_ && seconds >= 1) {
    client_.waiting_(seconds);
  }
  auto until = clock::now() + std::chrono::duration<double>(seconds);
  while (clock::now() < until) {
    client_.check_cancelled();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  if (client_.waiting_ && seconds >= 1) {
    client_.waiting_(0);
  }
}

void Retry::give_up(const HttpResponse& response, double wait) const {
  const std::string& repo = client_.repo_;
  const std::string page = client_.endpoint_ + "/" + repo;
  const std::string code = response.header("x-error-code");
  const long status = response.status;
  bool has_token = !client_.token_.empty();
  std::string set_token = "set HF_TOKEN to a token that may read it (" +
      client_.endpoint_ + "/settings/tokens)";
  if (status == 429) {
    throw Error(
        ErrorKind::busy,
        "the Hub refuses '" + repo + "': too many requests",
        wait > 0
            ? fmt::format("it says to try again in {:.0f} seconds", wait)
            : (has_token ? "try again later"
                         : "try again later, or set HF_TOKEN, which raises the "
                           "limit"));
  }
  if (status == 401 || status == 403) {
    if (code == "GatedRepo" || (status == 403 && code.empty())) {
      throw Error(
          ErrorKind::unavailable,
          "'" + repo + "' is gated",
          "accept its terms at " + page +
              (has_token ? " with the account of your token"
                         : " and " + set_token));
    }
    if (has_token && code != "RepoNotFound") {
      throw Error(
          ErrorKind::unavailable,
          "the Hub does not take the token for '" + repo + "'",
          set_token);
    }
    throw Error(
        ErrorKind::not_found,
        "'" + repo + "' is not on " + client_.endpoint_ + ", or it is private",
        "check the name" + (has_token ? std::string() : ", or " + set_token));
  }
  if (status == 404 || status == 410) {
    if (code == "RevisionNotFound") {
      throw Error(
          ErrorKind::not_found,
          "'" + repo + "' has no such revision",
          "give a branch, tag or commit; leave it out for main");
    }
    throw Error(
        ErrorKind::not_found,
        "'" + repo + "' is not on " + client_.endpoint_ +
            (code == "EntryNotFound" ? " with all its files" : ""),
        "check the name");
  }
  std::string why = !response.failure.empty()
      ? response.failure
      : fmt::format("HTTP status {}", status);
  throw Error(
      ErrorKind::unavailable,
      fmt::format(
          "cannot fetch '{}' from {}: {}", repo, client_.endpoint_, why),
      status >= 500 || status == 0
          ? "try again later; what has come so far is kept"
          : "");
}

} // namespace mlx_audio::hub
