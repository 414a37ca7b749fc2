#include "mlx_audio/error.h"

namespace mlx_audio {

namespace {

struct KindInfo {
  const char* name;
  int exit_code;
  int http_status;
};

KindInfo info(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::invalid_argument:
      return {"invalid_argument", 2, 400};
    case ErrorKind::not_found:
      return {"not_found", 3, 404};
    case ErrorKind::corrupt_data:
      return {"corrupt_data", 4, 400};
    case ErrorKind::unsupported:
      return {"unsupported", 5, 415};
    case ErrorKind::io:
      return {"io", 6, 500};
    case ErrorKind::unavailable:
      return {"unavailable", 7, 503};
    case ErrorKind::out_of_memory:
      return {"out_of_memory", 8, 507};
    case ErrorKind::busy:
      return {"busy", 9, 429};
    case ErrorKind::too_large:
      return {"too_large", 10, 413};
    case ErrorKind::cancelled:
      return {"cancelled", 130, 499};
    case ErrorKind::internal:
      break;
  }
  return {"internal", 1, 500};
}

} // namespace

Error::Error(ErrorKind kind, const std::string& message, std::string hint)
    : std::runtime_error(message), kind_(kind), hint_(std::move(hint)) {}

const char* to_string(ErrorKind kind) {
  return info(kind).name;
}

int exit_code(ErrorKind kind) {
  return info(kind).exit_code;
}

int http_status(ErrorKind kind) {
  return info(kind).http_status;
}

} // namespace mlx_audio
