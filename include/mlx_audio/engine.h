// Many requests on one device: a thread that owns MLX, a bounded queue with
// priorities, models that load on demand and leave by age or memory.
//
//   Engine engine;
//   auto ticket = engine.speak("kokoro", {.text = "Hello."}, {
//       .chunk = [](SpeechChunk&& chunk) { play(chunk.samples); },
//       .finished = [](const Error* error) { ... }});
//   ticket->cancel();  // between two chunks
//
// All functions may be called from any thread. Callbacks come from the
// engine's thread and must not wait: hand on what they get.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "mlx_audio/enhancement.h"
#include "mlx_audio/error.h"
#include "mlx_audio/speech.h"
#include "mlx_audio/transcription.h"

namespace mlx_audio {

enum class ModelTask { speech, transcription, enhancement, separation };
const char* to_string(ModelTask task);

/// Share of the device while several requests wait: 256, 16, 4 and 1 parts. A
/// new request begins after the chunk that is being computed. `live` is for
/// sessions that must keep up with someone who speaks; they need little.
enum class Priority { live, interactive, normal, batch };

/// A model in the engine's keeping: the member of its task is set. Only the
/// engine's thread may touch it.
struct LoadedModel {
  std::string id;
  ModelTask task = ModelTask::speech;
  std::unique_ptr<SpeechModel> speech;
  std::unique_ptr<TranscriptionModel> transcription;
  std::unique_ptr<Enhancer> enhancer;
};

/// What is known of a model without loading it.
struct ModelInfo {
  std::string id; ///< as a request names it
  std::string path; ///< its folder
  std::string architecture; ///< e.g. "kokoro"
  ModelTask task = ModelTask::speech;
  /// "voices", "instructions", "reference", "word_timestamps", "realtime",
  /// "languages", "translation", "logprobs", "speakers", ...
  std::vector<std::string> features;
  uint64_t size_bytes = 0; ///< of its files of weights
  int64_t created = 0; ///< seconds since 1970, of its config.json
  bool loaded = false;
  uint64_t memory_bytes = 0; ///< that loading it took; 0 if it is not loaded
};

/// What a job wants after a step.
enum class JobStep {
  again, ///< it has more to do
  wait, ///< nothing until Ticket::wake
  done,
};

/// A request at work: each step computes one chunk. Made, used and destroyed on
/// the engine's thread.
class Job {
 public:
  virtual ~Job() = default;
  /// Throws Error to fail the request; the engine goes on.
  virtual JobStep step() = 0;
};

/// When things happened to a request, in seconds from its submission.
struct JobTimes {
  double started = 0; ///< its first step, after waiting and loading
  double finished = 0;
  double computed = 0; ///< time in its own steps
  double loading = 0; ///< time in loading its model
};

/// A request's handle. It may outlive the engine.
class Ticket {
 public:
  virtual ~Ticket() = default;
  /// Ends the request at the next border of chunks; finished() then gets a
  /// `cancelled` error. Nothing happens if it has finished.
  virtual void cancel() = 0;
  /// Puts a job that waits back into the queue.
  virtual void wake() = 0;
  virtual JobTimes times() const = 0;
};

struct JobRequest {
  std::string model; ///< id of a model; empty: none is needed
  std::optional<ModelTask> task = {}; ///< that the model must have
  Priority priority = Priority::normal;
  /// Called once the model is there.
  std::function<std::unique_ptr<Job>(LoadedModel* model)> start;
  /// Called exactly once, with nothing if all went well.
  std::function<void(const Error* error)> finished = {};
};

/// Jobs of the library's own tasks, for those who submit them with a start of
/// their own.
std::unique_ptr<Job> speech_job(
    SpeechModel& model,
    const SpeechRequest& request,
    std::function<void(SpeechChunk&&)> chunk);
/// Enhances what `read` appends, a window at a time. It is called when there is
/// no window to do: `again` with samples, `wait` without any until
/// Ticket::wake, `done` at the end.
std::unique_ptr<Job> enhancement_job(
    EnhancementSession session,
    std::function<JobStep(std::vector<float>& samples)> read,
    std::function<void(Audio&&)> chunk);

struct SpeechCallbacks {
  std::function<void(SpeechChunk&&)> chunk;
  std::function<void(const Error*)> finished;
};

struct TranscriptionProgress {
  std::string language; ///< code
  double position = 0; ///< seconds that are done
  double duration = 0;
};

struct TranscriptionCallbacks {
  std::function<void(TranscriptionSegment&&, const TranscriptionProgress&)>
      segment;
  /// The whole, before finished(nullptr).
  std::function<void(Transcription&&)> result;
  std::function<void(const Error*)> finished;
};

struct EnhancementCallbacks {
  /// Interleaved; the same rate and channels each time.
  std::function<void(Audio&&)> chunk;
  std::function<void(const Error*)> finished;
};

struct EngineOptions {
  /// Requests that may wait or work at once; more throw busy.
  size_t queue_limit = 256;
  /// Bytes that loaded models may take; 0: no limit. Idle models leave first,
  /// the one that was used least recently before others.
  uint64_t memory_limit = 0;
  /// Seconds after which an idle model leaves; 0: never.
  double idle_seconds = 0;
  /// Models outside the store, by id.
  std::vector<std::pair<std::string, std::string>> folders = {};
  LoadOptions load = {};
  /// For logs: "load", "loaded", "load_failed" with what went wrong, "unload".
  std::function<void(
      const std::string& event,
      const ModelInfo&,
      const std::string& error)>
      on_model = {};
};

struct EngineStats {
  size_t queued = 0; ///< requests that wait for their first step
  size_t active = 0; ///< requests that have had one
  size_t waiting = 0; ///< sessions that wait for input
  uint64_t memory_bytes = 0; ///< of loaded models
  std::vector<std::string> loaded; ///< ids
};

class Engine {
 public:
  explicit Engine(EngineOptions options = {});
  /// Cancels what is left.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// @throws Error not_found (no such model), unsupported (of another task),
  ///   busy (the queue is full), unavailable (draining).
  std::shared_ptr<Ticket> submit(JobRequest request);

  std::shared_ptr<Ticket> speak(
      const std::string& model,
      SpeechRequest request,
      SpeechCallbacks callbacks,
      Priority priority = Priority::interactive);

  /// `sound` holds what request.bytes points to; it is kept until the end.
  std::shared_ptr<Ticket> transcribe(
      const std::string& model,
      std::shared_ptr<const void> sound,
      TranscriptionRequest request,
      TranscriptionCallbacks callbacks,
      Priority priority = Priority::normal);

  /// Decodes `bytes`, which `sound` holds, and enhances it window by window.
  std::shared_ptr<Ticket> enhance(
      const std::string& model,
      std::shared_ptr<const void> sound,
      std::span<const uint8_t> bytes,
      EnhancementOptions options,
      EnhancementCallbacks callbacks,
      Priority priority = Priority::normal);

  /// All models on this machine that some task can use, by id.
  std::vector<ModelInfo> models() const;
  /// @throws not_found with names that come near.
  ModelInfo model(const std::string& id) const;

  /// Loads a model as a request of its own; `finished` as in JobRequest.
  std::shared_ptr<Ticket> load(
      const std::string& model,
      std::function<void(const Error*)> finished);
  /// Forgets a model; its memory is free once its requests have ended. False if
  /// it was not loaded.
  bool unload(const std::string& model);

  EngineStats stats() const;
  /// Refuses new requests from now on.
  void drain();
  bool draining() const;
  /// Waits until no request is left, at most `seconds`; true if so. Sessions
  /// that wait for input are cancelled by drain's caller, not here.
  bool wait_idle(double seconds);
  /// Cancels all requests.
  void cancel_all();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

} // namespace mlx_audio
