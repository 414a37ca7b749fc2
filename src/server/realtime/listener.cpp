#include "server/realtime/listener.h"

#include <chrono>
#include <deque>
#include <mutex>

namespace mlx_audio::server {

namespace {

// Commands on their way to the engine's thread.
class Inbox {
 public:
  void push(ListenCommand command) {
    std::lock_guard lock(mutex_);
    samples_ += command.samples.size();
    commands_.push_back(std::move(command));
  }
  std::optional<ListenCommand> pop() {
    std::lock_guard lock(mutex_);
    if (commands_.empty()) {
      return {};
    }
    auto command = std::move(commands_.front());
    commands_.pop_front();
    samples_ -= command.samples.size();
    return command;
  }
  double seconds() const {
    std::lock_guard lock(mutex_);
    return static_cast<double>(samples_) / kHearingRate;
  }
  void clear() {
    std::lock_guard lock(mutex_);
    commands_.clear();
    samples_ = 0;
  }

 private:
  mutable std::mutex mutex_;
  std::deque<ListenCommand> commands_;
  size_t samples_ = 0;
};

// What the session, its job and the job that keeps the enhancer share.
struct Line {
  Inbox inbox;
  ListenSink sink;
  HeardSome heard_some;
  std::mutex mutex;
  bool broken = false; // the job has failed: submit another
  std::chrono::steady_clock::time_point retry; // not before
  // The engine's thread only.
  const Enhancer* enhancer = nullptr;
};

// Of sound that one step looks through for speech.
constexpr size_t kMostSamples = 10 * kHearingRate;
// After a failure the next try waits, whatever comes meanwhile is dropped.
constexpr auto kRetry = std::chrono::seconds(2);

class ListeningJob : public Job {
 public:
  ListeningJob(TranscriptionModel& model, std::shared_ptr<Line> line)
      : line_(std::move(line)),
        hearing_(make_hearing(model, line_->enhancer)),
        listening_(*hearing_, line_->sink) {}

  JobStep step() override {
    size_t samples = 0;
    while (!listening_.full() && samples < kMostSamples) {
      auto command = line_->inbox.pop();
      if (!command) {
        break;
      }
      samples += command->samples.size();
      listening_.apply(std::move(*command));
    }
    line_->heard_some();
    if (listening_.ready()) {
      listening_.hear();
      return JobStep::again;
    }
    return samples < kMostSamples ? JobStep::wait : JobStep::again;
  }

 private:
  std::shared_ptr<Line> line_;
  std::unique_ptr<Hearing> hearing_;
  Listening listening_;
};

// Keeps a model loaded for another job.
class KeepModel : public Job {
 public:
  JobStep step() override {
    return JobStep::wait;
  }
};

class EngineListener : public Listener {
 public:
  EngineListener(
      Engine& engine,
      EngineListenerOptions options,
      ListenSink sink,
      HeardSome heard_some)
      : engine_(engine),
        options_(std::move(options)),
        line_(std::make_shared<Line>()) {
    line_->sink = std::move(sink);
    line_->heard_some = std::move(heard_some);
  }
  ~EngineListener() override {
    hang_up();
  }

  void send(ListenCommand command) override {
    if (command.kind == ListenCommand::Kind::configure) {
      config_ = command.config;
    }
    {
      std::lock_guard lock(line_->mutex);
      if (line_->broken) {
        if (std::chrono::steady_clock::now() < line_->retry) {
          return;
        }
        line_->broken = false;
        line_->inbox.clear();
        hang_up();
      }
    }
    if (!ticket_) {
      if (command.kind == ListenCommand::Kind::configure) {
        return; // sent when the job begins
      }
      try {
        begin();
      } catch (const Error& error) {
        line_->inbox.clear();
        hang_up();
        throw ApiError(error);
      }
    }
    line_->inbox.push(std::move(command));
    ticket_->wake();
  }

  double behind() const override {
    return line_->inbox.seconds();
  }

 private:
  void begin();
  void hang_up() {
    for (auto* ticket : {&ticket_, &keeper_}) {
      if (*ticket) {
        (*ticket)->cancel();
        ticket->reset();
      }
    }
  }

  Engine& engine_;
  EngineListenerOptions options_;
  std::shared_ptr<Line> line_;
  std::shared_ptr<const SessionConfig> config_;
  std::shared_ptr<Ticket> ticket_;
  std::shared_ptr<Ticket> keeper_;
};

void EngineListener::begin() {
  auto line = line_;
  auto finished = [line](const Error* error) {
    if (error == nullptr || error->kind() == ErrorKind::cancelled) {
      return;
    }
    {
      std::lock_guard lock(line->mutex);
      line->broken = true;
      line->retry = std::chrono::steady_clock::now() + kRetry;
    }
    ListenEvent event;
    event.error = ApiError(*error);
    line->sink(std::move(event));
  };
  if (config_) {
    line_->inbox.push(
        {.kind = ListenCommand::Kind::configure, .config = config_});
  }
  // Both run on the engine's thread and in this order, so that the pointer is
  // there before the second begins, or its load has failed.
  if (!options_.enhancer.empty()) {
    keeper_ = engine_.submit(
        {.model = options_.enhancer,
         .task = ModelTask::enhancement,
         .priority = Priority::live,
         .start =
             [line](LoadedModel* model) {
               line->enhancer = model->enhancer.get();
               return std::make_unique<KeepModel>();
             },
         .finished = finished});
  }
  ticket_ = engine_.submit(
      {.model = options_.model,
       .task = ModelTask::transcription,
       .priority = Priority::live,
       .start =
           [line](LoadedModel* model) {
             return std::make_unique<ListeningJob>(*model->transcription, line);
           },
       .finished = finished});
}

} // namespace

void Pace::look(double behind, WebSocketPeer& peer) {
  if (!paused_ && behind > most_) {
    paused_ = true;
    peer.pause_reading(true);
  } else if (behind < few_) {
    go(peer);
  }
}

void Pace::go(WebSocketPeer& peer) {
  if (std::exchange(paused_, false)) {
    peer.pause_reading(false);
  }
}

std::unique_ptr<Listener> make_engine_listener(
    Engine& engine,
    const EngineListenerOptions& options,
    ListenSink sink,
    HeardSome heard_some) {
  return std::make_unique<EngineListener>(
      engine, options, std::move(sink), std::move(heard_some));
}

} // namespace mlx_audio::server
