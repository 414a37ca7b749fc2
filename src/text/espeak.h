// eSpeak NG as a program of its own (it is GPL-3 and never linked): one process
// a voice, started at the first question and kept. Text goes in through its
// standard input line by line; no shell, no arguments made of text.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

namespace mlx_audio::text {

class Espeak {
 public:
  /// @param program a name in PATH or a path; checked at the first question
  /// @param voice e.g. "en-us"
  /// @param timeout longest wait for an answer, seconds
  Espeak(std::string program, std::string voice, double timeout);
  ~Espeak();
  Espeak(const Espeak&) = delete;
  Espeak& operator=(const Espeak&) = delete;

  /// IPA of each line, with '^' tying the letters of one sound; clauses joined
  /// by a blank; marks of other languages "(fr)" removed. Control characters in
  /// a line count as blanks.
  /// @throws Error unavailable: the program is missing, has no such voice,
  ///   died twice or does not answer in time.
  std::vector<std::string> phonemes(const std::vector<std::string>& lines);

 private:
  void start();
  void stop() noexcept;
  bool ask(const std::string& input, size_t answers, std::string& output);
  std::string exchange(const std::string& input, size_t answers);

  const std::string program_, voice_;
  const double timeout_;
  pid_t child_ = -1;
  int socket_ = -1;
};

} // namespace mlx_audio::text
