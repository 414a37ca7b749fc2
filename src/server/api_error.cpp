#include "server/api_error.h"

#include "server/json.h"

namespace mlx_audio::server {

namespace {

const char* type_of(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 408:
    case 499:
      return "timeout_error";
    case 429:
      return "rate_limit_error";
    default:
      return status < 500 ? "invalid_request_error" : "server_error";
  }
}

// What a request asks for and a model lacks is the request's mistake.
int status_of(ErrorKind kind) {
  return kind == ErrorKind::unsupported ? 400 : http_status(kind);
}

std::string sentence(const Error& error) {
  std::string text = error.what();
  return error.hint().empty() ? text : text + " (" + error.hint() + ")";
}

} // namespace

ApiError::ApiError(
    int status,
    const std::string& message,
    std::string param /* = "" */,
    std::string code /* = "" */)
    : std::runtime_error(message),
      status_(status),
      param_(std::move(param)),
      code_(std::move(code)) {}

ApiError::ApiError(const Error& error, std::string param /* = "" */)
    : ApiError(
          status_of(error.kind()),
          sentence(error),
          std::move(param),
          to_string(error.kind())) {}

std::string ApiError::event() const {
  Json error = {
      {"message", what()},
      {"type", type_of(status_)},
      {"param", param_.empty() ? Json() : Json(param_)},
      {"code", code_.empty() ? Json() : Json(code_)}};
  return dump({{"error", std::move(error)}});
}

std::string ApiError::body() const {
  return event() + "\n";
}

void invalid_value(const std::string& field, const std::string& what) {
  throw ApiError(400, "'" + field + "' " + what, field, "invalid_value");
}

void missing_field(
    const std::string& field,
    const std::string& advice /* = "" */) {
  throw ApiError(
      400,
      "'" + field + "' is missing" + advice,
      field,
      "missing_required_parameter");
}

void check_text(const std::string& field, std::string_view text, size_t most) {
  if (text.size() > most) {
    throw ApiError(
        400,
        "'" + field + "' is longer than " + std::to_string(most) + " bytes",
        field,
        "string_above_max_length");
  }
  if (text.find('\0') != std::string_view::npos) {
    invalid_value(field, "must be text without zero characters");
  }
}

} // namespace mlx_audio::server
