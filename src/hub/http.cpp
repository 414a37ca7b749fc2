#include "hub/http.h"

#include <curl/curl.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <memory>

#include "hub/environment.h"
#include "mlx_audio/error.h"

namespace mlx_audio::hub {

namespace {

struct Transfer {
  const HttpRequest& request;
  HttpResponse& response;
  CURL* curl;
};

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) {
    return static_cast<char>(std::tolower(c));
  });
  return text;
}

size_t on_header(char* data, size_t, size_t size, void* user) {
  auto& response = static_cast<Transfer*>(user)->response;
  std::string_view line(data, size);
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) {
    line.remove_suffix(1);
  }
  if (line.rfind("HTTP/", 0) == 0) {
    response.headers.clear(); // an interim answer came before
    return size;
  }
  size_t colon = line.find(':');
  if (colon != std::string_view::npos && response.headers.size() < 200) {
    size_t start = line.find_first_not_of(" \t", colon + 1);
    response.headers[lower(std::string(line.substr(0, colon)))] =
        start == std::string_view::npos ? "" : std::string(line.substr(start));
  }
  return size;
}

size_t on_body(char* data, size_t, size_t size, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  long status = 0;
  curl_easy_getinfo(transfer.curl, CURLINFO_RESPONSE_CODE, &status);
  transfer.response.status = status;
  if (transfer.request.sink && status >= 200 && status < 300) {
    if (!transfer.request.sink(transfer.response, {data, size})) {
      transfer.response.stopped = true;
      return 0;
    }
    return size;
  }
  if (transfer.response.body.size() + size > transfer.request.body_limit) {
    transfer.response.failure = "the answer is too long";
    return 0;
  }
  transfer.response.body.append(data, size);
  return size;
}

int on_progress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  auto& transfer = *static_cast<Transfer*>(user);
  transfer.response.cancelled =
      transfer.request.cancelled && transfer.request.cancelled();
  return transfer.response.cancelled ? 1 : 0;
}

// Seconds without a byte after which a transfer has failed.
long stall_limit() {
  long seconds = std::atol(environment("HF_HUB_DOWNLOAD_TIMEOUT").c_str());
  return seconds > 0 ? seconds : 30;
}

void start_curl() {
  static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (started != CURLE_OK) {
    throw Error(ErrorKind::internal, "libcurl does not start");
  }
}

} // namespace

std::string HttpResponse::header(const std::string& name) const {
  auto found = headers.find(name);
  return found == headers.end() ? "" : found->second;
}

HttpResponse http_request(const HttpRequest& request) {
  start_curl();
  // One handle a thread keeps its connections open between requests.
  thread_local std::unique_ptr<CURL, void (*)(CURL*)> handle(
      curl_easy_init(), curl_easy_cleanup);
  CURL* curl = handle.get();
  if (!curl) {
    throw Error(ErrorKind::out_of_memory, "there is no memory for a download");
  }
  curl_easy_reset(curl);
  HttpResponse response;
  Transfer transfer{request, response, curl};
  curl_slist* list = nullptr;
  for (const auto& header : request.headers) {
    list = curl_slist_append(list, header.c_str());
  }
  std::unique_ptr<curl_slist, void (*)(curl_slist*)> headers(
      list, curl_slist_free_all);
  char reason[CURL_ERROR_SIZE] = "";
  curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_NOBODY, request.method == "HEAD" ? 1L : 0L);
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "mlx-audio.cpp");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 15L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, stall_limit());
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &transfer);
  for (const char* name :
       {"CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"}) {
    std::string bundle = environment(name);
    if (!bundle.empty()) {
      curl_easy_setopt(curl, CURLOPT_CAINFO, bundle.c_str());
      break;
    }
  }
  CURLcode code = curl_easy_perform(curl);
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &response.status);
  if (code != CURLE_OK && !response.stopped) {
    response.unreachable = code == CURLE_COULDNT_RESOLVE_HOST ||
        code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_PROXY ||
        code == CURLE_PEER_FAILED_VERIFICATION ||
        code == CURLE_SSL_CONNECT_ERROR;
    if (response.failure.empty()) {
      response.failure = *reason ? reason : curl_easy_strerror(code);
    }
  }
  return response;
}

std::string origin_of(const std::string& url) {
  std::unique_ptr<CURLU, void (*)(CURLU*)> parts(curl_url(), curl_url_cleanup);
  if (!parts ||
      curl_url_set(parts.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) {
    return "";
  }
  std::string origin;
  for (CURLUPart part : {CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT}) {
    char* text = nullptr;
    if (curl_url_get(parts.get(), part, &text, CURLU_DEFAULT_PORT) !=
        CURLUE_OK) {
      return "";
    }
    origin += (origin.empty() ? "" : " ") + lower(text);
    curl_free(text);
  }
  bool web = origin.rfind("http ", 0) == 0 || origin.rfind("https ", 0) == 0;
  return web ? origin : "";
}

std::string resolve_url(const std::string& base, const std::string& location) {
  std::unique_ptr<CURLU, void (*)(CURLU*)> parts(curl_url(), curl_url_cleanup);
  char* text = nullptr;
  if (!parts ||
      curl_url_set(parts.get(), CURLUPART_URL, base.c_str(), 0) != CURLUE_OK ||
      curl_url_set(
          parts.get(), CURLUPART_URL, location.c_str(), CURLU_URLENCODE) !=
          CURLUE_OK ||
      curl_url_get(parts.get(), CURLUPART_URL, &text, 0) != CURLUE_OK) {
    return "";
  }
  std::string url = text;
  curl_free(text);
  return origin_of(url).empty() ? "" : url;
}

std::string url_encode(const std::string& text, std::string_view keep) {
  static const char* digits = "0123456789ABCDEF";
  std::string result;
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) ||
        std::string_view("-._~").find(c) != std::string_view::npos ||
        keep.find(c) != std::string_view::npos) {
      result += c;
    } else {
      result += '%';
      result += digits[byte >> 4];
      result += digits[byte & 15];
    }
  }
  return result;
}

} // namespace mlx_audio::hub
