// The loop that makes frames of codes, for any number of requests at once. A
// request may join and leave between any two frames and gets what it would get
// alone.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <vector>

#include "models/csm/talker.h"
#include "models/frame_loop.h"
#include "nn/sampler.h"

namespace mlx_audio::csm {

struct Settings {
  nn::Sampling first; // repetition penalty over all first codes so far
  nn::Sampling others; // its repetition penalty is not used
  int max_frames = 1125;
  int min_frames = 0; // before these the end is forbidden
  uint64_t seed = 0;
};

/// Intermediates of the first frames, for comparison with a reference.
struct Trace {
  std::vector<std::vector<float>> logits; // of the first code, a frame each
  std::vector<std::vector<float>> hidden;
  std::vector<std::vector<float>> depth; // of the first frame, a code each
};

class Generator {
 public:
  Generator(const Talker& talker, const Config& config);

  /// A new request; its prompt [positions, hidden] is read at the next step.
  /// @throws Error too_large if prompt and frames exceed the context
  int add(
      const mx::array& prompt,
      const Settings& settings,
      Trace* trace = nullptr);
  /// Forgets a request.
  void remove(int id);
  size_t size() const {
    return sequences_.size();
  }

  struct Frame {
    int id;
    std::vector<int> codes; // [groups]; empty if finish is stop
    Finish finish; // other than none: the request is gone
  };
  /// One more frame, or the end, for every request, or for those that are
  /// wanted.
  using Wanted = std::function<bool(int id)>;
  std::vector<Frame> step(const Wanted& wanted = nullptr);

 private:
  struct Sequence {
    int id;
    Settings settings;
    Trace* trace;
    std::mt19937_64 random;
    nn::KvCache cache;
    nn::KvCache depth_cache;
    mx::array input; // [steps, hidden], what the talker reads next
    mx::array hidden; // [hidden], after the last step
    std::vector<float> next = {}; // [hidden], `input` as FrameCpu takes it
    std::vector<float> state = {}; // [hidden], `hidden` likewise
    std::vector<float> logits = {};
    std::vector<int> history = {}; // first codes
    std::vector<int> codes = {};
    int frames = 0;
  };
  using Group = std::vector<Sequence*>;

  void advance(const Group& group);
  void note_step(Sequence& sequence) const;
  int pick_first(Sequence& sequence) const;
  int pick_other(Sequence& sequence, int group, std::span<float> logits) const;
  void predict_rest(const Group& group) const;
  void next_inputs(const Group& group) const;
  std::vector<Frame> finish_step(const Group& group);

  // The same without MLX.
  void advance_cpu(const Group& group) const;
  void predict_rest_cpu(const Group& group) const;
  void next_inputs_cpu(const Group& group) const;

  const Talker& talker_;
  const Config& config_;
  std::shared_ptr<const FrameCpu> cpu_; // null: by MLX ops
  std::map<int, std::unique_ptr<Sequence>> sequences_;
  int next_id_ = 0;
};

} // namespace mlx_audio::csm
