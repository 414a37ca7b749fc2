// The engine by jobs without a model.
#include "mlx_audio/engine.h"

#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>
#include <mutex>
#include <thread>

#include <gtest/gtest.h>

namespace mlx_audio {
namespace {

class FunctionJob : public Job {
 public:
  explicit FunctionJob(std::function<JobStep()> step)
      : step_(std::move(step)) {}
  JobStep step() override {
    return step_();
  }

 private:
  std::function<JobStep()> step_;
};

struct Outcome {
  std::promise<std::string> done;
  std::future<std::string> future = done.get_future();
};

std::shared_ptr<Ticket> submit(
    Engine& engine,
    Outcome& outcome,
    std::function<JobStep()> step,
    Priority priority = Priority::normal) {
  return engine.submit(
      {.model = "",
       .priority = priority,
       .start =
           [step](LoadedModel*) { return std::make_unique<FunctionJob>(step); },
       .finished =
           [&outcome](const Error* error) {
             outcome.done.set_value(
                 error == nullptr ? "ok" : to_string(error->kind()));
           }});
}

TEST(Engine, AShortRequestPassesALongOne) {
  Engine engine;
  Outcome slow;
  Outcome quick;
  std::atomic<int> steps = 0;
  std::atomic<int> steps_when_quick_ran = 0;
  submit(
      engine,
      slow,
      [&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        return ++steps < 40 ? JobStep::again : JobStep::done;
      },
      Priority::batch);
  while (steps < 3) {
    std::this_thread::yield();
  }
  submit(
      engine,
      quick,
      [&] {
        steps_when_quick_ran = steps.load();
        return JobStep::done;
      },
      Priority::interactive);
  EXPECT_EQ(quick.future.get(), "ok");
  EXPECT_LT(steps_when_quick_ran, 10);
  EXPECT_EQ(slow.future.get(), "ok");
}

TEST(Engine, CancelsBetweenStepsAndWhileWaiting) {
  Engine engine;
  Outcome running;
  std::atomic<int> steps = 0;
  auto ticket = submit(engine, running, [&] {
    ++steps;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    return JobStep::again;
  });
  while (steps < 2) {
    std::this_thread::yield();
  }
  ticket->cancel();
  EXPECT_EQ(running.future.get(), "cancelled");

  Outcome parked;
  auto session = submit(engine, parked, [] { return JobStep::wait; });
  while (engine.stats().waiting == 0) {
    std::this_thread::yield();
  }
  session->cancel();
  EXPECT_EQ(parked.future.get(), "cancelled");
  EXPECT_EQ(engine.stats().waiting, 0u);
}

TEST(Engine, AWaitingSessionWakesAndNoWakeIsLost) {
  Engine engine;
  Outcome outcome;
  std::atomic<int> fed = 0;
  int seen = 0;
  auto session = submit(engine, outcome, [&] {
    seen = fed;
    return seen < 50 ? JobStep::wait : JobStep::done;
  });
  for (int i = 0; i < 50; ++i) {
    ++fed;
    session->wake();
  }
  EXPECT_EQ(outcome.future.get(), "ok");
  EXPECT_EQ(seen, 50);
}

TEST(Engine, AFailureIsOfItsRequestAlone) {
  Engine engine;
  Outcome bad;
  Outcome odd;
  Outcome good;
  submit(engine, bad, []() -> JobStep {
    throw Error(ErrorKind::corrupt_data, "no");
  });
  submit(engine, odd, []() -> JobStep { throw std::runtime_error("odd"); });
  submit(engine, good, [] { return JobStep::done; });
  EXPECT_EQ(bad.future.get(), "corrupt_data");
  EXPECT_EQ(odd.future.get(), "internal");
  EXPECT_EQ(good.future.get(), "ok");
}

TEST(Engine, AFullQueueRefusesAndADrainingOneToo) {
  EngineOptions options;
  options.queue_limit = 2;
  Engine engine(options);
  std::promise<void> gate;
  auto open = gate.get_future().share();
  Outcome first;
  Outcome second;
  auto block = [open] {
    open.wait();
    return JobStep::done;
  };
  submit(engine, first, block);
  submit(engine, second, block);
  Outcome third;
  try {
    submit(engine, third, block);
    FAIL() << "the queue has two places";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::busy);
  }
  engine.drain();
  try {
    submit(engine, third, block);
    FAIL() << "the engine drains";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::unavailable);
  }
  gate.set_value();
  EXPECT_TRUE(engine.wait_idle(10));
  EXPECT_EQ(first.future.get(), "ok");
  EXPECT_EQ(second.future.get(), "ok");
}

TEST(Engine, TheEndCancelsWhatIsLeft) {
  Outcome outcome;
  {
    Engine engine;
    submit(engine, outcome, [] { return JobStep::wait; });
  }
  EXPECT_EQ(outcome.future.get(), "cancelled");
}

// A config that nests deeper than any of ours is not read to its end.
TEST(Engine, AFolderWithAConfigOutOfBoundsIsNoModel) {
  auto folder = std::filesystem::path(testing::TempDir()) / "out_of_bounds";
  std::filesystem::create_directories(folder);
  auto refused = [&](int levels) {
    std::ofstream(folder / "config.json")
        << R"({"plbert": {}, "istftnet": {}, "deep": )"
        << std::string(levels, '[') << std::string(levels, ']') << "}";
    EngineOptions options;
    options.folders = {{"mine", folder.string()}};
    try {
      Engine engine(options);
      return false;
    } catch (const Error& error) {
      return error.kind() == ErrorKind::unsupported;
    }
  };
  EXPECT_FALSE(refused(10));
  EXPECT_TRUE(refused(100));
  std::filesystem::remove_all(folder);
}

TEST(Engine, AnUnknownModelIsNamed) {
  Engine engine;
  try {
    engine.model("../../etc/passwd");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::not_found);
    EXPECT_NE(
        std::string(error.what()).find("../../etc/passwd"), std::string::npos);
  }
}

} // namespace
} // namespace mlx_audio
