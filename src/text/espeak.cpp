#include "text/espeak.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

#include "mlx_audio/error.h"
#include "text/unicode.h"

extern char** environ;

namespace mlx_audio::text {

namespace {

// eSpeak echoes phoneme mnemonics in [[ ]] as IPA, the same in every language.
// A line of them behind each question marks the end of its answer.
constexpr std::string_view kMark = "[[t@k@p@t]]\n";
constexpr std::string_view kMarkAnswer = "təkəpˈət\n";
// The program reads lines of at most 999 bytes.
constexpr size_t kLongestLine = 900;
// Far above any honest answer (a digit becomes a word of some 10 bytes).
constexpr size_t kAnswerBytesPerByte = 64;

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

// Questions of at most kLongestLine bytes without control characters and
// brackets.
std::vector<std::string> clean_lines(const std::string& line) {
  std::vector<std::string> out(1);
  for (size_t pos = 0; pos < line.size();) {
    char32_t c = decode_utf8(line, pos);
    bool blank = c == kBadUtf8 || c < 0x20 || (c >= 0x7f && c < 0xa0) ||
        c == '[' || c == ']' || is_space(c);
    if (blank) {
      c = ' ';
    }
    size_t size = out.back().size();
    if (size + 4 > kLongestLine || (c == ' ' && size > kLongestLine - 100)) {
      out.emplace_back();
    }
    append_utf8(out.back(), c);
  }
  return out;
}

// "(en)" and, with ties, "(^e^n)": where the program changes its language.
std::string without_language_marks(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    size_t close =
        text[i] == '(' ? text.find(')', i + 2) : std::string_view::npos;
    if (close != std::string_view::npos) {
      i = close + 1;
    } else {
      out += text[i++];
    }
  }
  return out;
}

std::string one_line(std::string_view clauses) {
  std::string out;
  for (char c : without_language_marks(clauses)) {
    bool blank = c == ' ' || c == '\n';
    if (blank && (out.empty() || out.back() == ' ')) {
      continue;
    }
    out += blank ? ' ' : c;
  }
  while (!out.empty() && out.back() == ' ') {
    out.pop_back();
  }
  return out;
}

size_t count(std::string_view text, std::string_view what) {
  size_t n = 0;
  for (size_t at = text.find(what); at != std::string_view::npos;
       at = text.find(what, at + what.size())) {
    ++n;
  }
  return n;
}

} // namespace

Espeak::Espeak(std::string program, std::string voice, double timeout)
    : program_(std::move(program)),
      voice_(std::move(voice)),
      timeout_(timeout) {}

Espeak::~Espeak() {
  stop();
}

void Espeak::start() {
  const char* hint =
      "install eSpeak NG: 'apt install espeak-ng' or 'brew install espeak-ng'";
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) {
    throw Error(
        ErrorKind::unavailable,
        std::string("cannot open a channel to eSpeak NG: ") +
            std::strerror(errno));
  }
  ::fcntl(ends[0], F_SETFD, FD_CLOEXEC);
  ::fcntl(ends[1], F_SETFD, FD_CLOEXEC);
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
#ifdef SO_NOSIGPIPE
  int on = 1;
  ::setsockopt(ends[0], SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, ends[1], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&files, ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_addopen(
      &files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  // It synthesizes even when quiet; fast and without pauses that is a third of
  // the work for the same phonemes.
  std::string args[] = {
      program_,
      "-v",
      voice_,
      "-b",
      "1",
      "-q",
      "--ipa",
      "--tie=^",
      "-z",
      "-s",
      "400"};
  std::vector<char*> argv;
  for (std::string& arg : args) {
    argv.push_back(arg.data());
  }
  argv.push_back(nullptr);
  int failed = ::posix_spawnp(
      &child_, program_.c_str(), &files, &attributes, argv.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  ::close(ends[1]);
  if (failed != 0) {
    ::close(ends[0]);
    child_ = -1;
    throw Error(
        ErrorKind::unavailable,
        "cannot start eSpeak NG ('" + program_ + "'): " + std::strerror(failed),
        hint);
  }
  socket_ = ends[0];
  std::string answer;
  if (!ask(std::string(kMark), 1, answer) || answer != kMarkAnswer) {
    stop();
    throw Error(
        ErrorKind::unavailable,
        "'" + program_ + "' does not answer as eSpeak NG with voice '" +
            voice_ + "'",
        hint);
  }
}

void Espeak::stop() noexcept {
  if (socket_ >= 0) {
    ::close(socket_); // the end of its input lets it go
    socket_ = -1;
  }
  if (child_ <= 0) {
    return;
  }
  for (int i = 0; i < 50; ++i) {
    pid_t done = ::waitpid(child_, nullptr, WNOHANG);
    if (done == child_ || (done < 0 && errno != EINTR)) {
      child_ = -1;
      return;
    }
    ::poll(nullptr, 0, 2);
  }
  ::kill(child_, SIGKILL);
  while (::waitpid(child_, nullptr, 0) < 0 && errno == EINTR) {
  }
  child_ = -1;
}

// Writes and reads at once, so that neither side can block the other. False if
// the other side is gone. @param answers marks to wait for
bool Espeak::ask(
    const std::string& input,
    size_t answers,
    std::string& output) {
  using Clock = std::chrono::steady_clock;
  auto last_progress = Clock::now();
  size_t limit = 65536 + kAnswerBytesPerByte * input.size();
  size_t written = 0;
  size_t marks = 0;
  size_t counted = 0; // bytes of output in which marks were counted
  while (marks < answers) {
    struct pollfd wait = {
        socket_,
        static_cast<short>(POLLIN | (written < input.size() ? POLLOUT : 0)),
        0};
    std::chrono::duration<double> idle = Clock::now() - last_progress;
    double left = timeout_ - idle.count();
    int ready =
        left > 0 ? ::poll(&wait, 1, static_cast<int>(left * 1000) + 1) : 0;
    if (ready < 0 && errno == EINTR) {
      continue;
    }
    if (ready <= 0) {
      stop();
      throw Error(
          ErrorKind::unavailable,
          "eSpeak NG ('" + program_ + "') did not answer in " +
              std::to_string(timeout_) + " s");
    }
    if ((wait.revents & POLLOUT) != 0) {
      ssize_t n = ::send(
          socket_,
          input.data() + written,
          input.size() - written,
          MSG_NOSIGNAL);
      if (n > 0) {
        written += static_cast<size_t>(n);
        last_progress = Clock::now();
      } else if (errno != EAGAIN && errno != EINTR) {
        return false;
      }
    }
    if ((wait.revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
      char buffer[16384];
      ssize_t n = ::recv(socket_, buffer, sizeof buffer, 0);
      if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        return false;
      }
      if (n > 0) {
        output.append(buffer, static_cast<size_t>(n));
        last_progress = Clock::now();
      }
      if (output.size() > limit) {
        stop();
        throw Error(
            ErrorKind::unavailable,
            "'" + program_ + "' answers more than eSpeak NG would");
      }
      size_t from = counted;
      for (size_t at = output.find(kMarkAnswer, from); at != std::string::npos;
           at = output.find(kMarkAnswer, from)) {
        marks += at == 0 || output[at - 1] == '\n';
        from = at + kMarkAnswer.size();
      }
      counted = std::max(
          from,
          output.size() - std::min(output.size(), kMarkAnswer.size() - 1));
    }
  }
  return true;
}

std::string Espeak::exchange(const std::string& input, size_t answers) {
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (child_ <= 0) {
      start();
    }
    std::string output;
    if (ask(input, answers, output)) {
      return output;
    }
    stop();
  }
  throw Error(
      ErrorKind::unavailable,
      "eSpeak NG ('" + program_ + "') ends while it is being asked",
      "try 'echo hello | " + program_ + " -v " + voice_ + " -q --ipa'");
}

std::vector<std::string> Espeak::phonemes(
    const std::vector<std::string>& lines) {
  if (lines.empty()) {
    return {};
  }
  std::vector<std::string> questions;
  std::vector<size_t> owner;
  for (size_t i = 0; i < lines.size(); ++i) {
    for (std::string& question : clean_lines(lines[i])) {
      questions.push_back(std::move(question) + "\n");
      owner.push_back(i);
    }
  }
  std::vector<std::string> out(lines.size());
  auto add = [&](size_t question, std::string_view answer) {
    std::string line = one_line(answer);
    std::string& to = out[owner[question]];
    to += to.empty() || line.empty() ? line : " " + line;
  };
  // A question has one answering line or, with several clauses, more. If there
  // are as many lines as questions each has one.
  std::string input;
  for (const std::string& question : questions) {
    input += question;
  }
  std::string output = exchange(input + std::string(kMark), 1);
  output.resize(output.size() - kMarkAnswer.size());
  if (count(output, "\n") == questions.size()) {
    std::string_view rest = output;
    for (size_t i = 0; i < questions.size(); ++i) {
      size_t end = rest.find('\n');
      add(i, rest.substr(0, end));
      rest.remove_prefix(end + 1);
    }
    return out;
  }
  input.clear();
  for (const std::string& question : questions) {
    input += question;
    input += kMark;
  }
  output = exchange(input, questions.size());
  std::string_view rest = output;
  for (size_t i = 0; i < questions.size(); ++i) {
    size_t end = rest.find(kMarkAnswer);
    add(i, rest.substr(0, end));
    rest.remove_prefix(end + kMarkAnswer.size());
  }
  return out;
}

} // namespace mlx_audio::text
