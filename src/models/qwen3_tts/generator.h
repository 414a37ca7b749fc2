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

#include "models/frame_cpu.h"
#include "models/frame_loop.h"
#include "models/qwen3_tts/prompt.h"
#include "models/qwen3_tts/talker.h"
#include "nn/sampler.h"

namespace mlx_audio::qwen3_tts {

struct Settings {
  nn::Sampling talker; // repetition penalty over all first codes so far
  nn::Sampling subtalker; // its repetition penalty is not used
  int max_frames = 2048;
  int min_frames = 2; // before these the end code is forbidden
  uint64_t seed = 0;
};

/// Intermediates of the first frames, for comparison with a reference.
struct Trace {
  std::vector<std::vector<float>> logits; // of the talker, a frame each
  std::vector<std::vector<float>> hidden;
  std::vector<std::vector<float>> predictor; // of the first frame, a code each
};

class Generator {
 public:
  Generator(const Talker& talker, const Config& config);

  /// A new request; its prompt is read at the next step.
  int add(Prompt prompt, const Settings& settings, Trace* trace = nullptr);
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
    Prompt prompt;
    Settings settings;
    Trace* trace;
    std::mt19937_64 random;
    nn::KvCache cache;
    nn::KvCache predictor_cache;
    mx::array input; // [steps, hidden], what the talker reads next
    mx::array hidden; // [hidden], after the last step
    std::vector<float> next = {}; // [hidden], `input` as FrameCpu takes it
    std::vector<float> state = {}; // [hidden], `hidden` likewise
    std::vector<float> logits;
    std::vector<int> history = {};
    std::vector<int> codes = {};
    int frames = 0;
  };

  void read_prompt(Sequence& sequence);
  std::vector<Frame> finish_step(const std::vector<Sequence*>& group);
  void advance(std::vector<Sequence*>& group);
  int pick_first(Sequence& sequence);
  void predict_rest(std::vector<Sequence*>& group);
  void next_inputs(std::vector<Sequence*>& group);
  void note_step(Sequence& sequence) const;
  int pick_other(Sequence& sequence, std::span<float> logits) const;

  // The same without MLX.
  void advance_cpu(std::vector<Sequence*>& group);
  void predict_rest_cpu(std::vector<Sequence*>& group);
  void next_inputs_cpu(std::vector<Sequence*>& group);

  const Talker& talker_;
  const Config& config_;
  std::shared_ptr<const FrameCpu> cpu_; // null: by MLX ops
  std::map<int, std::unique_ptr<Sequence>> sequences_;
  int next_id_ = 0;
};

} // namespace mlx_audio::qwen3_tts
