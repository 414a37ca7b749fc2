// The one exception type of the library. Each kind maps one to one to a process
// exit code and to an HTTP status, so that a command line and a server report
// the same mistake in the same words.
#pragma once

#include <stdexcept>
#include <string>

namespace mlx_audio {

enum class ErrorKind {
  invalid_argument, ///< A value the caller gave cannot be used (exit 2, 400).
  not_found, ///< A file or a model is missing (exit 3, 404).
  corrupt_data, ///< Foreign bytes do not hold what they claim (exit 4, 400).
  unsupported, ///< Valid, but this build or model lacks it (exit 5, 415).
  io, ///< Reading or writing failed (exit 6, 500).
  unavailable, ///< A helper program or host is missing (exit 7, 503).
  out_of_memory, ///< A memory or size limit was reached (exit 8, 507).
  busy, ///< The queue is full; try again later (exit 9, 429).
  too_large, ///< Input above a stated limit (exit 10, 413).
  cancelled, ///< The caller asked to stop (exit 130, 499).
  internal, ///< A defect of ours (exit 1, 500).
};

/// What went wrong, with the offending value, and what to do about it.
class Error : public std::runtime_error {
 public:
  /// @param message one line that names the value, e.g.
  ///   "unknown voice 'af_hart'".
  /// @param hint one line that says what to do; may be empty.
  Error(ErrorKind kind, const std::string& message, std::string hint = "");

  ErrorKind kind() const {
    return kind_;
  }
  const std::string& hint() const {
    return hint_;
  }

 private:
  ErrorKind kind_;
  std::string hint_;
};

/// Stable lower-case name of a kind, e.g. "invalid_argument".
const char* to_string(ErrorKind kind);

/// Process exit code of a kind, 1..130.
int exit_code(ErrorKind kind);

/// HTTP status of a kind, 400..599.
int http_status(ErrorKind kind);

} // namespace mlx_audio
