#include "engine/fair_queue.h"

#include <algorithm>
#include <map>
#include <string>

#include <gtest/gtest.h>

namespace mlx_audio::engine {
namespace {

// Serves `steps` steps of one second and writes down whose they were.
std::string
serve(FairQueue<char>& queue, std::map<char, Turn>& turns, int steps) {
  std::string order;
  for (int i = 0; i < steps && !queue.empty(); ++i) {
    char who = queue.pop();
    order += who;
    queue.again(turns[who], 1, who);
  }
  return order;
}

TEST(FairQueue, EqualRequestsTakeTurnsInOrderOfArrival) {
  FairQueue<char> queue;
  std::map<char, Turn> turns;
  for (char who : {'a', 'b', 'c'}) {
    queue.arrive(turns[who], who);
  }
  EXPECT_EQ(serve(queue, turns, 9), "abcabcabc");
}

TEST(FairQueue, ANewRequestRunsNextHoweverLongOthersHaveRun) {
  FairQueue<char> queue;
  std::map<char, Turn> turns;
  turns['l'].priority = Priority::batch;
  queue.arrive(turns['l'], 'l');
  serve(queue, turns, 5);
  turns['s'].priority = Priority::interactive;
  queue.arrive(turns['s'], 's');
  EXPECT_EQ(serve(queue, turns, 1), "s");
}

TEST(FairQueue, SharesFollowThePriorities) {
  FairQueue<char> queue;
  std::map<char, Turn> turns;
  turns['i'].priority = Priority::interactive;
  turns['n'].priority = Priority::normal;
  turns['b'].priority = Priority::batch;
  for (char who : {'b', 'n', 'i'}) {
    queue.arrive(turns[who], who);
  }
  auto order = serve(queue, turns, 21 * 8);
  auto count = [&](char who) {
    return std::count(order.begin(), order.end(), who);
  };
  EXPECT_NEAR(count('i'), 16 * 8, 3);
  EXPECT_NEAR(count('n'), 4 * 8, 3);
  EXPECT_NEAR(count('b'), 8, 3) << "a batch job is never starved";
}

TEST(FairQueue, WhatIsCancelledGoesFirst) {
  FairQueue<char> queue;
  std::map<char, Turn> turns;
  for (char who : {'a', 'b', 'c'}) {
    queue.arrive(turns[who], who);
  }
  queue.hurry(turns['c'], 'c');
  EXPECT_EQ(queue.pop(), 'c');
}

} // namespace
} // namespace mlx_audio::engine
