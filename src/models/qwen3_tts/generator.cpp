#include "models/qwen3_tts/generator.h"

#include <limits>

#include "mlx_audio/error.h"

namespace mlx_audio::qwen3_tts {

namespace {

constexpr int kControlCodes = 1024; // the last ones, which are no sound

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

mx::array codes_array(const std::vector<int>& codes) {
  return mx::array(codes.data(), {static_cast<int>(codes.size())}, mx::int32);
}

} // namespace

Generator::Generator(const Talker& talker, const Config& config)
    : talker_(talker), config_(config), cpu_(talker.frame_cpu()) {}

int Generator::add(
    Prompt prompt,
    const Settings& settings,
    Trace* trace /* = nullptr */) {
  if (prompt.embeds.shape(0) + 1 > config_.context) {
    throw Error(
        ErrorKind::too_large,
        "the prompt has " + std::to_string(prompt.embeds.shape(0)) +
            " positions, the model's context " +
            std::to_string(config_.context),
        "split the text or give less of it");
  }
  // Evaluated f32 rows, that a CPU op may read.
  for (auto* a : {&prompt.trailing, &prompt.pad}) {
    *a = mx::contiguous(*a);
    a->eval();
  }
  auto input = prompt.embeds;
  auto sequence = std::make_unique<Sequence>(Sequence{
      .id = next_id_,
      .prompt = std::move(prompt),
      .settings = settings,
      .trace = trace,
      .random = std::mt19937_64(settings.seed),
      .cache = talker_.make_cache(),
      .predictor_cache = talker_.predictor().make_cache(),
      .input = input,
      .hidden = mx::array(0.0f),
      .logits = {}});
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

void Generator::read_prompt(Sequence& s) {
  std::vector<Sequence*> one{&s};
  advance(one);
}

void Generator::advance(std::vector<Sequence*>& group) {
  std::vector<mx::array> inputs;
  std::vector<nn::KvCache*> caches;
  for (auto* s : group) {
    inputs.push_back(s->input);
    caches.push_back(&s->cache);
  }
  auto out = talker_.step(mx::stack(inputs, 0), caches);
  mx::eval(out.logits, out.hidden);
  for (size_t i = 0; i < group.size(); ++i) {
    Sequence& s = *group[i];
    auto logits = row_of(out.logits, i);
    s.logits.assign(logits.begin(), logits.end());
    if (cpu_) {
      auto state = row_of(out.hidden, i);
      s.state.assign(state.begin(), state.end());
    } else {
      s.hidden = mx::take(out.hidden, static_cast<int>(i), 0);
    }
    note_step(s);
  }
}

void Generator::advance_cpu(std::vector<Sequence*>& group) {
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

int Generator::pick_first(Sequence& s) {
  nn::penalize_repetition(
      s.logits, s.history, s.settings.talker.repetition_penalty);
  float end = s.logits[config_.codec_eos];
  for (int i = config_.vocab - kControlCodes; i < config_.vocab; ++i) {
    s.logits[i] = -std::numeric_limits<float>::infinity();
  }
  if (s.frames >= s.settings.min_frames) {
    s.logits[config_.codec_eos] = end;
  }
  return nn::sample(s.logits, s.settings.talker, s.random);
}

int Generator::pick_other(Sequence& s, std::span<float> logits) const {
  if (s.trace != nullptr && s.frames == 0) {
    s.trace->predictor.emplace_back(logits.begin(), logits.end());
  }
  int code = nn::sample(logits, s.settings.subtalker, s.random);
  s.codes.push_back(code);
  return code;
}

void Generator::predict_rest_cpu(std::vector<Sequence*>& group) {
  std::vector<nn::KvCache*> caches;
  std::vector<float> hidden;
  std::vector<int> first;
  for (auto* s : group) {
    s->predictor_cache.clear();
    caches.push_back(&s->predictor_cache);
    hidden.insert(hidden.end(), s->state.begin(), s->state.end());
    first.push_back(s->codes[0]);
  }
  cpu_->predict(
      caches,
      hidden.data(),
      first,
      [&](size_t i, int /* codebook */, std::span<float> logits) {
        return pick_other(*group[i], logits);
      });
}

void Generator::next_inputs_cpu(std::vector<Sequence*>& group) {
  for (auto* s : group) {
    int frame = s->frames - 1;
    size_t width = cpu_->hidden();
    const float* text = frame < s->prompt.trailing.shape(0)
        ? s->prompt.trailing.data<float>() + frame * width
        : s->prompt.pad.data<float>();
    s->next.assign(width, 0.0f);
    cpu_->add_embeddings(s->codes, s->next.data());
    for (size_t i = 0; i < width; ++i) {
      s->next[i] += text[i];
    }
  }
}

void Generator::predict_rest(std::vector<Sequence*>& group) {
  const CodePredictor& predictor = talker_.predictor();
  std::vector<nn::KvCache*> caches;
  std::vector<mx::array> hidden;
  std::vector<int> codes;
  for (auto* s : group) {
    s->predictor_cache.clear();
    caches.push_back(&s->predictor_cache);
    hidden.push_back(s->hidden);
    codes.push_back(s->codes[0]);
  }
  int batch = static_cast<int>(group.size());
  // The talker's hidden state, then the first code.
  auto x = mx::stack({mx::stack(hidden, 0), talker_.embed_codes(codes)}, 1);
  for (int g = 1; g < config_.groups; ++g) {
    auto logits = predictor.step(x, g, caches);
    logits.eval();
    for (int i = 0; i < batch; ++i) {
      Sequence& s = *group[i];
      auto row = row_of(logits, i);
      std::vector<float> values(row.begin(), row.end());
      codes[i] = pick_other(s, values);
    }
    if (g + 1 < config_.groups) {
      x = mx::expand_dims(
          mx::astype(predictor.embed(codes_array(codes), g), talker_.dtype()),
          1);
    }
  }
}

void Generator::next_inputs(std::vector<Sequence*>& group) {
  std::vector<int> codes;
  for (auto* s : group) {
    codes.insert(codes.end(), s->codes.begin(), s->codes.end());
  }
  int batch = static_cast<int>(group.size());
  auto sums = talker_.embed_frames(
      mx::array(codes.data(), {batch, config_.groups}, mx::int32));
  for (int i = 0; i < batch; ++i) {
    Sequence& s = *group[i];
    int frame = s.frames - 1;
    auto text = frame < s.prompt.trailing.shape(0)
        ? mx::slice(
              s.prompt.trailing,
              {frame, 0},
              {frame + 1, s.prompt.trailing.shape(1)})
        : s.prompt.pad;
    s.input = mx::slice(sums, {i, 0}, {i + 1, sums.shape(1)}) + text;
  }
}

std::vector<Generator::Frame> Generator::step(
    const Wanted& wanted /* = nullptr */) {
  // Those that join read their prompts one by one, the others step together.
  std::vector<Sequence*> all;
  std::vector<Sequence*> going;
  for (auto& [id, s] : sequences_) {
    if (wanted && !wanted(id)) {
      continue;
    }
    all.push_back(s.get());
    if (s->cache.length() == 0) {
      read_prompt(*s);
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
        "qwen3_tts_frame",
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

// From the talker's logits to the next input.
std::vector<Generator::Frame> Generator::finish_step(
    const std::vector<Sequence*>& all) {
  std::vector<Frame> frames;
  std::vector<Sequence*> group;
  for (auto* s : all) {
    int code = pick_first(*s);
    if (code == config_.codec_eos) {
      frames.push_back({s->id, {}, Finish::stop});
    } else {
      s->history.push_back(code);
      s->codes = {code};
      group.push_back(s);
    }
  }
  if (group.empty()) {
    return frames;
  }
  cpu_ ? predict_rest_cpu(group) : predict_rest(group);
  std::vector<Sequence*> going;
  for (auto* s : group) {
    ++s->frames;
    bool full = s->frames >= s->settings.max_frames ||
        s->cache.length() + 1 > config_.context;
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

} // namespace mlx_audio::qwen3_tts
