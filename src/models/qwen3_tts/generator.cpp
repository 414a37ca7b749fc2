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
    : talker_(talker), config_(config) {}

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
  auto input = prompt.embeds;
  auto sequence = std::make_unique<Sequence>(Sequence{
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
    s.hidden = mx::take(out.hidden, static_cast<int>(i), 0);
    if (s.trace != nullptr) {
      s.trace->logits.push_back(s.logits);
      s.trace->hidden.push_back(values_of(s.hidden));
    }
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
      if (s.trace != nullptr && s.frames == 0) {
        s.trace->predictor.push_back(values);
      }
      codes[i] = nn::sample(values, s.settings.subtalker, s.random);
      s.codes.push_back(codes[i]);
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

std::vector<Generator::Frame> Generator::step() {
  // Those that join read their prompts one by one, the others step together.
  std::vector<Sequence*> group;
  for (auto& [id, s] : sequences_) {
    if (s->cache.length() == 0) {
      std::vector<Sequence*> one{s.get()};
      advance(one);
    } else {
      group.push_back(s.get());
    }
  }
  if (!group.empty()) {
    advance(group);
  }

  std::vector<Frame> frames;
  group.clear();
  std::vector<int> ended;
  for (auto& [id, s] : sequences_) {
    int code = pick_first(*s);
    if (code == config_.codec_eos) {
      frames.push_back({id, {}, Finish::stop});
      ended.push_back(id);
    } else {
      s->history.push_back(code);
      s->codes = {code};
      group.push_back(s.get());
    }
  }
  for (int id : ended) {
    sequences_.erase(id);
  }
  if (group.empty()) {
    return frames;
  }
  predict_rest(group);
  ended.clear();
  std::vector<Sequence*> going;
  for (auto& [id, s] : sequences_) {
    ++s->frames;
    bool full = s->frames >= s->settings.max_frames ||
        s->cache.length() + 1 > config_.context;
    frames.push_back({id, s->codes, full ? Finish::length : Finish::none});
    if (full) {
      ended.push_back(id);
    } else {
      going.push_back(s.get());
    }
  }
  if (!going.empty()) {
    next_inputs(going);
  }
  for (int id : ended) {
    sequences_.erase(id);
  }
  return frames;
}

} // namespace mlx_audio::qwen3_tts
