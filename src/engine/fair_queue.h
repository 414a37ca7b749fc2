// Who is next on the device: start-time fair queueing (Goyal, Vin, Cheng 1996).
// Each item's clock advances by what it used over its weight; the least goes
// first. A new item starts at the present, so it runs next, and one that has
// used much waits, but never for ever.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <set>
#include <tuple>
#include <utility>

#include "mlx_audio/engine.h"

namespace mlx_audio::engine {

/// Of an item, kept by its owner.
struct Turn {
  double clock = 0; ///< seconds used over weight
  uint64_t number = 0; ///< of arrival
  Priority priority = Priority::normal;
};

template <class T>
class FairQueue {
 public:
  static double weight(Priority priority) {
    constexpr std::array<double, 4> weights = {256, 16, 4, 1};
    return weights[static_cast<size_t>(priority)];
  }

  /// For a new item, or one that has waited for something else.
  void arrive(Turn& turn, T item) {
    if (turn.number == 0) {
      turn.number = ++arrivals_;
    }
    turn.clock = std::max(turn.clock, now_);
    insert(turn, std::move(item));
  }

  /// For an item that was popped and has used `seconds` of the device.
  void again(Turn& turn, double seconds, T item) {
    turn.clock += seconds / weight(turn.priority);
    insert(turn, std::move(item));
  }

  /// Puts an item that is in the queue before all others.
  void hurry(Turn& turn, const T& item) {
    if (items_.erase(key(turn, item)) > 0) {
      turn.clock = -1;
      insert(turn, item);
    }
  }

  T pop() {
    auto first = items_.begin();
    now_ = std::max(now_, std::get<0>(*first));
    T item = std::get<3>(*first);
    items_.erase(first);
    return item;
  }

  bool empty() const {
    return items_.empty();
  }
  size_t size() const {
    return items_.size();
  }

 private:
  using Key = std::tuple<double, int, uint64_t, T>;

  static Key key(const Turn& turn, T item) {
    return {
        turn.clock,
        static_cast<int>(turn.priority),
        turn.number,
        std::move(item)};
  }
  void insert(const Turn& turn, T item) {
    items_.insert(key(turn, std::move(item)));
  }

  std::set<Key> items_;
  double now_ = 0;
  uint64_t arrivals_ = 0;
};

} // namespace mlx_audio::engine
