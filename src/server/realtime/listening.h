// The engine's side of a realtime session: cuts sound into turns and has them
// transcribed, a chunk at a time. Knows nothing of sockets, JSON or threads.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/realtime/recognizer.h"

namespace mlx_audio::server {

/// What the client's side asks for, in order.
struct ListenCommand {
  enum class Kind { configure, audio, commit, clear };
  Kind kind = Kind::audio;
  std::vector<float> samples = {}; ///< audio: 16 kHz, mono
  std::shared_ptr<const SessionConfig> config = {}; ///< configure
  std::string event_id = {}; ///< of the client's event, for errors
};

/// What it is told, in order.
struct ListenEvent {
  enum class Kind {
    speech_started,
    speech_stopped,
    committed,
    cleared,
    text, ///< more of an item's transcript
    completed,
    failed, ///< an item has no transcript
    error, ///< a command could not be carried out
  };
  Kind kind = Kind::error;
  std::string item_id = {};
  std::string previous_item_id = {}; ///< committed; empty: the first
  int64_t milliseconds = 0; ///< of all sound so far: started, stopped
  std::string text = {}; ///< new text; completed: all of it
  std::string pending = {};
  std::vector<TranscribedWord> words = {};
  std::vector<TranscriptionSegment> segments = {}; ///< completed
  double seconds = 0; ///< completed: of sound
  std::string language = {};
  std::optional<ApiError> error = {};
  std::string event_id = {};
};

class Listening {
 public:
  /// Seconds of sound that a client may append without a commit.
  static constexpr double max_buffer = 300;

  Listening(Hearing& hearing, std::function<void(ListenEvent&&)> emit);

  void apply(ListenCommand command);
  /// There is as much sound as should be looked at before more is applied.
  bool full() const;
  /// There is enough for hear().
  bool ready() const;
  /// Computes one chunk of an utterance.
  void hear();

 private:
  void configure(std::shared_ptr<const SessionConfig> config);
  void take_audio(std::vector<float> samples);
  void take_clean(std::span<const float> samples);
  void advance();
  void chunk(float probability, std::span<const float> samples);
  void begin_turn();
  void end_turn(int64_t end);
  void commit(const std::string& event_id);
  void clear();
  void new_item();
  void start(bool live);
  void feed(std::span<const float> samples);
  void settle(std::optional<Heard> heard);
  void fail(const Error& error);
  void commit_item();
  void finish();
  int64_t milliseconds(int64_t samples) const;
  ListenEvent about(ListenEvent::Kind kind) const;

  Hearing& hearing_;
  std::function<void(ListenEvent&&)> emit_;
  std::shared_ptr<const SessionConfig> config_;

  // Sound whose turn has not been decided: whole chunks and their
  // probabilities come first, then the start of a chunk.
  std::vector<float> sound_;
  std::deque<float> probabilities_;
  std::vector<float> before_; // the last sound outside of a turn
  std::vector<float> buffer_; // without turn detection: since the last commit
  int64_t position_ = 0; // samples that were decided

  // The item at work.
  std::string item_id_;
  std::string previous_item_id_;
  bool in_turn_ = false;
  int64_t turn_begin_ = 0;
  int64_t turn_samples_ = 0;
  int64_t silence_begin_ = -1;
  std::unique_ptr<Utterance> utterance_;
  bool finishing_ = false;
  int64_t fresh_ = 0; // samples since the last hear()
  std::string transcript_;
  std::string pending_;
  std::vector<TranscriptionSegment> segments_;
  std::vector<TranscribedWord> words_;
};

} // namespace mlx_audio::server
