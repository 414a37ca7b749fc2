#include "models/vibevoice_asr/writer.h"

#include "kernels/logits.h"

namespace mlx_audio::vibevoice_asr {

Writer::Writer(
    const LanguageModel& model,
    const WriterSettings& settings,
    Penalty penalty)
    : model_(model),
      settings_(settings),
      penalty_(penalty),
      cache_(model.make_cache()),
      hidden_(0.0f),
      random_(settings.seed) {}

void Writer::read(const mx::array& x) {
  hidden_ = model_.read(x, cache_);
}

std::vector<float> Writer::logits() const {
  auto y = mx::contiguous(model_.logits(hidden_));
  y.eval();
  return {y.data<float>(), y.data<float>() + y.size()};
}

int Writer::pick(std::span<const int> history) {
  auto scores = logits();
  float total = kernels::log_sum_exp(scores);
  float penalty = settings_.sampling.repetition_penalty;
  std::vector<float> plain;
  if (penalty != 1.0f || settings_.sampling.temperature > 0) {
    plain = scores; // what is picked by changes them
    if (penalty_ == Penalty::log_probabilities) {
      for (float& score : scores) {
        score -= total;
      }
    }
    auto count = std::min(
        history.size(), static_cast<size_t>(settings_.repetition_context));
    nn::penalize_repetition(
        scores, history.subspan(history.size() - count), penalty);
  }
  int id = nn::sample(scores, settings_.sampling, random_);
  log_probability_ = (plain.empty() ? scores : plain)[id] - total;
  return id;
}

} // namespace mlx_audio::vibevoice_asr
