#include "models/csm/generator.h"

#include <algorithm>
#include <limits>

#include "mlx_audio/error.h"

namespace mlx_audio::csm {

namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

// Rows of an evaluated [batch, dim] f32 array.
std::span<const float> row_of(const mx::array& x, size_t row) {
  size_t dim = x.shape(-1);
  return {x.data<float>() + row * dim, dim};
}

std::vector<float> values_of(mx::array x) {
  x = mx::contiguous(mx::astype(x, mx::float32));
  x.eval();
  return {x.data<float>(), x.data<float>() + x.size()};
}

bool all_zero(const std::vector<int>& codes) {
  return std::all_of(codes.begin(), codes.end(), [](int c) { return c == 0; });
}

} // namespace

Generator::Generator(const Talker& talker, const Config& config)
    : talker_(talker), config_(config), cpu_(talker.frame_cpu()) {}

int Generator::add(
    const mx::array& prompt,
    const Settings& settings,
    Trace* trace /* = nullptr */) {
  int room = config_.context - 1 - prompt.shape(0);
  if (settings.max_frames > room) {
    throw Error(
        ErrorKind::too_large,
        "the texts and recordings take " + std::to_string(prompt.shape(0)) +
            " of the model's " + std::to_string(config_.context) +
            " positions, and " + std::to_string(settings.max_frames) +
            " frames do not fit behind them",
        room > 0 ? "ask for at most " + std::to_string(room) +
                " frames (--max-tokens), or give a shorter recording"
                 : "give a shorter recording");
  }
  auto sequence = std::make_unique<Sequence>(Sequence{
      .id = next_id_,
      .settings = settings,
      .trace = trace,
      .random = std::mt19937_64(settings.seed),
      .cache = talker_.make_cache(),
      .depth_cache = talker_.make_depth_cache(),
      .input = prompt,
      .hidden = mx::array(0.0f)});
  sequences_.emplace(next_id_, std::move(sequence));
  return next_id_++;
}

void Generator::remove(int id) {
  sequences_.erase(id);
}

void Generator::note_step(Sequence& s) const {
  if (s.trace != nullptr) {
    s.trace->logits.push_back(s.logits);
    s.trace->hidden.push_back(cpu_ ? s.state : values_of(s.hidden));
  }
}

void Generator::advance(const Group& group) {
  std::vector<mx::array> inputs;
  std::vector<nn::KvCache*> caches;
  for (auto* s : group) {
    inputs.push_back(s->input);
    caches.push_back(&s->cache);
  }
  auto out = talker_.step(mx::stack(inputs, 0), caches);
  auto hidden = mx::contiguous(mx::astype(out.hidden, mx::float32));
  mx::eval(out.logits, out.hidden, hidden);
  for (size_t i = 0; i < group.size(); ++i) {
    Sequence& s = *group[i];
    auto logits = row_of(out.logits, i);
    s.logits.assign(logits.begin(), logits.end());
    auto state = row_of(hidden, i);
    s.state.assign(state.begin(), state.end());
    s.hidden = mx::take(out.hidden, static_cast<int>(i), 0);
    note_step(s);
  }
}

void Generator::advance_cpu(const Group& group) const {
  std::vector<nn::KvCache*> caches;
  std::vector<float> x;
  for (auto* s : group) {
    x.insert(x.end(), s->next.begin(), s->next.end());
    caches.push_back(&s->cache);
  }
  size_t width = cpu_->hidden();
  size_t vocab = cpu_->vocab();
  std::vector<float> hidden(group.size() * width);
  std::vector<float> logits(group.size() * vocab);
  cpu_->advance(caches, x.data(), hidden.data(), logits.data());
  for (size_t i = 0; i < group.size(); ++i) {
    Sequence& s = *group[i];
    s.state.assign(&hidden[i * width], &hidden[i * width] + width);
    s.logits.assign(&logits[i * vocab], &logits[i * vocab] + vocab);
    note_step(s);
  }
}

int Generator::pick_first(Sequence& s) const {
  nn::penalize_repetition(
      s.logits, s.history, s.settings.first.repetition_penalty);
  // The codec has no entry for the last codes.
  std::fill(s.logits.begin() + config_.codec.codebook, s.logits.end(), kNever);
  return nn::sample(s.logits, s.settings.first, s.random);
}

int Generator::pick_other(Sequence& s, int group, std::span<float> logits)
    const {
  if (s.trace != nullptr && s.frames == 0) {
    s.trace->depth.emplace_back(logits.begin(), logits.end());
  }
  std::fill(logits.begin() + config_.codec.codebook, logits.end(), kNever);
  bool last = group == config_.groups - 1;
  if (last && s.frames < s.settings.min_frames && all_zero(s.codes)) {
    logits[0] = kNever; // one more zero would be the end
  }
  int code = nn::sample(logits, s.settings.others, s.random);
  s.codes.push_back(code);
  return code;
}

void Generator::predict_rest_cpu(const Group& group) const {
  std::vector<nn::KvCache*> caches;
  std::vector<float> hidden;
  std::vector<int> first;
  for (auto* s : group) {
    s->depth_cache.clear();
    caches.push_back(&s->depth_cache);
    hidden.insert(hidden.end(), s->state.begin(), s->state.end());
    first.push_back(s->codes[0]);
  }
  cpu_->predict(
      caches,
      hidden.data(),
      first,
      [&](size_t i, int codebook, std::span<float> logits) {
        return pick_other(*group[i], codebook, logits);
      });
}

void Generator::predict_rest(const Group& group) const {
  std::vector<nn::KvCache*> caches;
  std::vector<mx::array> hidden;
  std::vector<int> codes;
  for (auto* s : group) {
    s->depth_cache.clear();
    caches.push_back(&s->depth_cache);
    hidden.push_back(s->hidden);
    codes.push_back(s->codes[0]);
  }
  // The backbone's hidden state, then the first code.
  auto x = mx::stack({mx::stack(hidden, 0), talker_.embed_codes(codes, 0)}, 1);
  for (int g = 1; g < config_.groups; ++g) {
    auto logits = talker_.depth_step(x, g, caches);
    logits.eval();
    for (size_t i = 0; i < group.size(); ++i) {
      auto row = row_of(logits, i);
      std::vector<float> values(row.begin(), row.end());
      codes[i] = pick_other(*group[i], g, values);
    }
    x = mx::expand_dims(talker_.embed_codes(codes, g), 1);
  }
}

void Generator::next_inputs_cpu(const Group& group) const {
  for (auto* s : group) {
    s->next.assign(cpu_->hidden(), 0.0f);
    cpu_->add_embeddings(s->codes, s->next.data());
  }
}

void Generator::next_inputs(const Group& group) const {
  for (auto* s : group) {
    s->input = talker_.embed_frames(
        mx::array(s->codes.data(), {1, config_.groups}, mx::int32));
  }
}

std::vector<Generator::Frame> Generator::step(
    const Wanted& wanted /* = nullptr */) {
  // Those that join read their prompts one by one, the others step together.
  Group all;
  Group going;
  for (auto& [id, s] : sequences_) {
    if (wanted && !wanted(id)) {
      continue;
    }
    all.push_back(s.get());
    if (s->cache.length() == 0) {
      advance({s.get()});
    } else {
      going.push_back(s.get());
    }
  }
  std::vector<Frame> frames;
  if (!cpu_) {
    if (!going.empty()) {
      advance(going);
    }
    frames = finish_step(all);
  } else {
    kernels::run_as_cpu_op(
        "csm_frame",
        [&] {
          if (!going.empty()) {
            advance_cpu(going);
          }
          frames = finish_step(all);
        },
        cpu_->cost(all.size()));
  }
  for (const auto& frame : frames) {
    if (frame.finish != Finish::none) {
      sequences_.erase(frame.id);
    }
  }
  return frames;
}

// From the backbone's logits to the next input.
std::vector<Generator::Frame> Generator::finish_step(const Group& group) {
  for (auto* s : group) {
    s->codes = {pick_first(*s)};
  }
  if (group.empty()) {
    return {};
  }
  cpu_ ? predict_rest_cpu(group) : predict_rest(group);
  std::vector<Frame> frames;
  Group going;
  for (auto* s : group) {
    if (all_zero(s->codes)) {
      frames.push_back({s->id, {}, Finish::stop});
      continue;
    }
    s->history.push_back(s->codes[0]);
    ++s->frames;
    bool full = s->frames >= s->settings.max_frames;
    frames.push_back({s->id, s->codes, full ? Finish::length : Finish::none});
    if (!full) {
      going.push_back(s);
    }
  }
  if (!going.empty()) {
    cpu_ ? next_inputs_cpu(going) : next_inputs(going);
  }
  return frames;
}

} // namespace mlx_audio::csm
