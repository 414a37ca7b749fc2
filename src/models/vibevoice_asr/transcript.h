// The JSON that the model writes, read while it is being written: a list of
// {"Start": ..., "End": ..., "Speaker": ..., "Content": ...}. The text is a
// model's, so anything may come, and it may end anywhere.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlx_audio::vibevoice_asr {

/// What the text says of one segment; a field that is missing, null or no
/// finite number is empty.
struct WrittenSegment {
  std::optional<double> start; // seconds
  std::optional<double> end;
  std::optional<std::string> speaker;
  std::optional<std::string> text;
};

/// Gives each segment once its object is complete. Brackets within strings do
/// not count; what lies around the list, and objects that cannot be read, are
/// passed over.
class TranscriptReader {
 public:
  /// More of the text, as bytes.
  void feed(std::string_view bytes);
  /// The next segment that is complete.
  std::optional<WrittenSegment> next();
  /// The list (or a lone object) has ended; what follows is not read.
  bool complete() const {
    return state_ == State::after;
  }
  /// A list or an object has begun.
  bool begun() const {
    return state_ != State::before;
  }
  /// The list is complete and empty.
  bool nothing_said() const {
    return complete() && objects_ == 0;
  }

 private:
  enum class State { before, list, object, after };

  void take(char c);
  void finish_object();

  State state_ = State::before;
  int lists_ = 0; // open around the object
  int depth_ = 0; // open braces and brackets of the object
  bool in_string_ = false;
  bool escaped_ = false;
  bool too_long_ = false; // the object is passed over
  int objects_ = 0; // that have begun
  std::string object_;
  std::deque<WrittenSegment> ready_;
};

/// All segments of a whole text.
std::vector<WrittenSegment> read_transcript(std::string_view text);

} // namespace mlx_audio::vibevoice_asr
