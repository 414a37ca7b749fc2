#include "mlx_audio/engine.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>

#include "engine/fair_queue.h"
#include "engine/jobs.h"
#include "engine/library.h"
#include "engine/model_cache.h"

namespace mlx_audio {

using engine::FairQueue;
using engine::Library;
using engine::ModelCache;
using engine::Turn;

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

enum class Phase { ready, running, parked, finished };

} // namespace

const char* to_string(ModelTask task) {
  switch (task) {
    case ModelTask::speech:
      return "speech";
    case ModelTask::transcription:
      return "transcription";
    case ModelTask::enhancement:
      return "enhancement";
    case ModelTask::separation:
      break;
  }
  return "separation";
}

namespace {

// What requests, tickets and the thread share; tickets may outlive the engine.
struct Task;
struct Shared {
  std::mutex mutex;
  std::condition_variable changed;
  FairQueue<std::shared_ptr<Task>> ready;
  std::set<std::shared_ptr<Task>> all;
  size_t started = 0; // tasks that have had a step and are not parked
  size_t parked = 0;
  bool draining = false;
  bool stopping = false;
};

struct Task : Ticket, std::enable_shared_from_this<Task> {
  std::shared_ptr<Shared> shared;
  JobRequest request;
  std::optional<ModelInfo> info;
  Clock::time_point submitted = Clock::now();
  std::atomic<bool> cancelled = false;

  // Under the mutex.
  Turn turn;
  Phase phase = Phase::ready;
  bool begun = false;
  bool woken = false;
  JobTimes at;

  // The engine's thread only.
  std::shared_ptr<LoadedModel> model;
  std::unique_ptr<Job> job;

  void cancel() override {
    std::lock_guard lock(shared->mutex);
    if (phase == Phase::finished || cancelled.exchange(true)) {
      return;
    }
    if (phase == Phase::ready) {
      shared->ready.hurry(turn, shared_from_this());
    } else if (phase == Phase::parked) {
      resume();
    }
    shared->changed.notify_all();
  }

  void wake() override {
    std::lock_guard lock(shared->mutex);
    if (phase == Phase::parked) {
      resume();
      shared->changed.notify_all();
    } else if (phase == Phase::running) {
      woken = true;
    }
  }

  JobTimes times() const override {
    std::lock_guard lock(shared->mutex);
    return at;
  }

  void resume() {
    --shared->parked;
    ++shared->started;
    phase = Phase::ready;
    shared->ready.arrive(turn, shared_from_this());
  }
};

} // namespace

struct Engine::State {
  explicit State(EngineOptions given)
      : options(std::move(given)),
        library(options.folders),
        cache(std::make_unique<ModelCache>(options)),
        thread([this] { run(); }) {}

  void run();
  std::shared_ptr<Task> take();
  JobStep work(Task& task);
  void finish(const std::shared_ptr<Task>& task, const Error* error);
  void one_step(const std::shared_ptr<Task>& task);

  EngineOptions options;
  Library library;
  std::shared_ptr<Shared> shared = std::make_shared<Shared>();
  std::vector<std::string> to_unload; // under the mutex
  std::unique_ptr<ModelCache> cache;
  std::thread thread;
};

// Waits for a task and gives models back meanwhile; nothing at the end.
std::shared_ptr<Task> Engine::State::take() {
  std::unique_lock lock(shared->mutex);
  for (;;) {
    if (!to_unload.empty()) {
      auto ids = std::move(to_unload);
      to_unload.clear();
      lock.unlock();
      for (const auto& id : ids) {
        cache->unload(id);
      }
      lock.lock();
      continue;
    }
    if (!shared->ready.empty()) {
      auto task = shared->ready.pop();
      task->phase = Phase::running;
      return task;
    }
    if (shared->stopping) {
      return nullptr;
    }
    if (options.idle_seconds <= 0) {
      shared->changed.wait(lock);
      continue;
    }
    auto nap = std::chrono::duration<double>(
        std::clamp(options.idle_seconds / 4, 0.05, 5.0));
    shared->changed.wait_for(lock, nap);
    lock.unlock();
    cache->unload_idle();
    lock.lock();
  }
}

JobStep Engine::State::work(Task& task) {
  if (task.cancelled) {
    throw Error(ErrorKind::cancelled, "the request was cancelled");
  }
  if (!task.job) {
    if (task.info && !task.model) {
      bool others = false;
      {
        std::lock_guard lock(shared->mutex);
        others = shared->started > 0;
      }
      auto start = Clock::now();
      task.model = cache->get(*task.info, others);
      std::lock_guard lock(shared->mutex);
      task.at.loading += seconds_since(start);
      if (!task.model) {
        return JobStep::again; // until there is room
      }
    }
    {
      std::lock_guard lock(shared->mutex);
      task.begun = true;
      ++shared->started;
      task.at.started = seconds_since(task.submitted);
    }
    task.job =
        task.request.start ? task.request.start(task.model.get()) : nullptr;
    if (!task.job) {
      return JobStep::done;
    }
  }
  auto start = Clock::now();
  JobStep result = task.job->step();
  std::lock_guard lock(shared->mutex);
  task.at.computed += seconds_since(start);
  return result;
}

void Engine::State::finish(
    const std::shared_ptr<Task>& task,
    const Error* error) {
  task->job.reset();
  task->model.reset();
  {
    std::lock_guard lock(shared->mutex);
    task->phase = Phase::finished;
    task->at.finished = seconds_since(task->submitted);
  }
  if (task->request.finished) {
    task->request.finished(error);
  }
  task->request = {};
  std::lock_guard lock(shared->mutex);
  shared->started -= task->begun ? 1 : 0;
  shared->all.erase(task);
  shared->changed.notify_all();
}

void Engine::State::one_step(const std::shared_ptr<Task>& task) {
  auto start = Clock::now();
  JobStep result = JobStep::done;
  try {
    result = work(*task);
  } catch (const Error& error) {
    finish(task, &error);
    return;
  } catch (const std::bad_alloc&) {
    Error error(ErrorKind::out_of_memory, "there is not enough memory");
    finish(task, &error);
    return;
  } catch (const std::exception& failure) {
    Error error(ErrorKind::internal, failure.what());
    finish(task, &error);
    return;
  }
  if (result == JobStep::done) {
    finish(task, nullptr);
    return;
  }
  std::lock_guard lock(shared->mutex);
  if (result == JobStep::wait && !task->woken && !task->cancelled) {
    task->phase = Phase::parked;
    task->turn.clock += seconds_since(start) /
        FairQueue<std::shared_ptr<Task>>::weight(task->turn.priority);
    --shared->started;
    ++shared->parked;
    return;
  }
  task->woken = false;
  task->phase = Phase::ready;
  // A step of no length must not keep others from their turn.
  shared->ready.again(task->turn, std::max(seconds_since(start), 1e-4), task);
}

void Engine::State::run() {
  while (auto task = take()) {
    one_step(task);
  }
  cache->unload_all();
}

Engine::Engine(EngineOptions options /* = {} */)
    : state_(std::make_unique<State>(std::move(options))) {}

Engine::~Engine() {
  drain();
  cancel_all();
  {
    std::lock_guard lock(state_->shared->mutex);
    state_->shared->stopping = true;
    state_->shared->changed.notify_all();
  }
  state_->thread.join();
}

std::shared_ptr<Ticket> Engine::submit(JobRequest request) {
  auto task = std::make_shared<Task>();
  if (!request.model.empty()) {
    task->info = state_->library.find(request.model);
    if (request.task && task->info->task != *request.task) {
      throw Error(
          ErrorKind::unsupported,
          "model '" + request.model + "' is for " +
              to_string(task->info->task) + ", not for " +
              to_string(*request.task),
          "GET /v1/models shows which model does what");
    }
  }
  task->shared = state_->shared;
  task->turn.priority = request.priority;
  task->request = std::move(request);
  auto& shared = *state_->shared;
  std::lock_guard lock(shared.mutex);
  if (shared.draining) {
    throw Error(
        ErrorKind::unavailable,
        "the server is shutting down",
        "ask another one, or again later");
  }
  if (shared.all.size() - shared.parked >= state_->options.queue_limit) {
    throw Error(
        ErrorKind::busy,
        "the queue is full: " + std::to_string(state_->options.queue_limit) +
            " requests wait",
        "try again later");
  }
  shared.all.insert(task);
  shared.ready.arrive(task->turn, task);
  shared.changed.notify_all();
  return task;
}

std::shared_ptr<Ticket> Engine::speak(
    const std::string& model,
    SpeechRequest request,
    SpeechCallbacks callbacks,
    Priority priority /* = Priority::interactive */) {
  auto finished = callbacks.finished;
  return submit(
      {.model = model,
       .task = ModelTask::speech,
       .priority = priority,
       .start =
           [request = std::move(request),
            callbacks = std::move(callbacks)](LoadedModel* loaded) {
             return speech_job(*loaded->speech, request, callbacks.chunk);
           },
       .finished = std::move(finished)});
}

std::shared_ptr<Ticket> Engine::transcribe(
    const std::string& model,
    std::shared_ptr<const void> sound,
    TranscriptionRequest request,
    TranscriptionCallbacks callbacks,
    Priority priority /* = Priority::normal */) {
  auto finished = callbacks.finished;
  return submit(
      {.model = model,
       .task = ModelTask::transcription,
       .priority = priority,
       .start =
           [sound = std::move(sound),
            request = std::move(request),
            callbacks = std::move(callbacks)](LoadedModel* loaded) {
             return engine::transcription_job(
                 *loaded->transcription, sound, request, callbacks);
           },
       .finished = std::move(finished)});
}

std::shared_ptr<Ticket> Engine::enhance(
    const std::string& model,
    std::shared_ptr<const void> sound,
    std::span<const uint8_t> bytes,
    EnhancementOptions options,
    EnhancementCallbacks callbacks,
    Priority priority /* = Priority::normal */) {
  auto finished = callbacks.finished;
  return submit(
      {.model = model,
       .task = ModelTask::enhancement,
       .priority = priority,
       .start =
           [sound = std::move(sound),
            bytes,
            options,
            callbacks = std::move(callbacks)](LoadedModel* loaded) {
             return engine::enhancement_job(
                 *loaded->enhancer, sound, bytes, options, callbacks);
           },
       .finished = std::move(finished)});
}

std::vector<ModelInfo> Engine::models() const {
  auto all = state_->library.list();
  auto loaded = state_->cache->loaded();
  for (auto& info : all) {
    auto found = loaded.find(info.id);
    if (found != loaded.end()) {
      info.loaded = true;
      info.memory_bytes = found->second;
    }
  }
  return all;
}

ModelInfo Engine::model(const std::string& id) const {
  ModelInfo info = state_->library.find(id);
  auto loaded = state_->cache->loaded();
  auto found = loaded.find(info.id);
  if (found != loaded.end()) {
    info.loaded = true;
    info.memory_bytes = found->second;
  }
  return info;
}

std::shared_ptr<Ticket> Engine::load(
    const std::string& model,
    std::function<void(const Error*)> finished) {
  return submit(
      {.model = model,
       .priority = Priority::interactive,
       .start = [](LoadedModel*) { return nullptr; },
       .finished = std::move(finished)});
}

bool Engine::unload(const std::string& model) {
  ModelInfo info = this->model(model);
  if (info.loaded) {
    std::lock_guard lock(state_->shared->mutex);
    state_->to_unload.push_back(info.id);
    state_->shared->changed.notify_all();
  }
  return info.loaded;
}

EngineStats Engine::stats() const {
  EngineStats stats;
  for (const auto& [id, bytes] : state_->cache->loaded()) {
    stats.loaded.push_back(id);
    stats.memory_bytes += bytes;
  }
  auto& shared = *state_->shared;
  std::lock_guard lock(shared.mutex);
  stats.waiting = shared.parked;
  stats.active = shared.started;
  size_t rest = shared.all.size() - shared.parked;
  stats.queued = rest > shared.started ? rest - shared.started : 0;
  return stats;
}

void Engine::drain() {
  std::lock_guard lock(state_->shared->mutex);
  state_->shared->draining = true;
}

bool Engine::draining() const {
  std::lock_guard lock(state_->shared->mutex);
  return state_->shared->draining;
}

bool Engine::wait_idle(double seconds) {
  auto& shared = *state_->shared;
  std::unique_lock lock(shared.mutex);
  return shared.changed.wait_for(
      lock, std::chrono::duration<double>(seconds), [&] {
        return shared.all.size() == shared.parked;
      });
}

void Engine::cancel_all() {
  std::set<std::shared_ptr<Task>> all;
  {
    std::lock_guard lock(state_->shared->mutex);
    all = state_->shared->all;
  }
  for (const auto& task : all) {
    task->cancel();
  }
}

} // namespace mlx_audio
