#include "models/whisper/decoding.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include <zlib.h>

#include "kernels/logits.h"
#include "kernels/parallel.h"
#include "mlx_audio/error.h"
#include "models/whisper/languages.h"
#include "models/whisper/logit_rules.h"

namespace mlx_audio::whisper {

namespace {

// One candidate for one window.
struct Hypothesis {
  std::vector<int> sampled; // with the end, once there
  float sum_logprob = 0;
  bool done = false;
};

// The search for one window.
struct Search {
  int window = 0;
  std::vector<Hypothesis> rows;
  // Beam search: what has ended, as the sequence without its end.
  std::map<std::vector<int>, float> finished;
  bool done = false;
};

std::string strip(const std::string& text) {
  static constexpr const char* spaces = " \t\n\r\f\v";
  auto from = text.find_first_not_of(spaces);
  if (from == std::string::npos) {
    return "";
  }
  return text.substr(from, text.find_last_not_of(spaces) - from + 1);
}

mx::array token_rows(const std::vector<std::vector<int>>& rows) {
  std::vector<int> flat;
  for (const auto& row : rows) {
    flat.insert(flat.end(), row.begin(), row.end());
  }
  return mx::array(
      flat.begin(),
      {static_cast<int>(rows.size()), static_cast<int>(rows[0].size())},
      mx::int32);
}

std::vector<int> initial_tokens(
    const WhisperModel& model,
    const WhisperTokenizer& tokenizer,
    const DecodeOptions& options,
    int sample_length) {
  auto tokens = tokenizer.sot_sequence(options.language, options.task);
  if (!options.timestamps) {
    tokens.push_back(tokenizer.no_timestamps);
  }
  if (!options.prefix.empty()) {
    int most = std::max(model.config().n_text_ctx / 2 - 1, 1);
    if (options.max_tokens > 0) {
      most = std::max(model.config().n_text_ctx / 2 - sample_length, 1);
    }
    auto size = static_cast<int>(options.prefix.size());
    tokens.insert(
        tokens.end(),
        options.prefix.end() - std::min(size, most),
        options.prefix.end());
  }
  auto room = static_cast<size_t>(max_prompt_tokens(model.config()));
  std::vector<int> before(
      options.hotwords.begin(),
      options.hotwords.begin() +
          static_cast<std::ptrdiff_t>(std::min(options.hotwords.size(), room)));
  size_t rest = std::min(room - before.size(), options.prompt.size());
  before.insert(
      before.end(),
      options.prompt.end() - static_cast<std::ptrdiff_t>(rest),
      options.prompt.end());
  if (!before.empty() && options.prefix.empty() == false) {
    // Hotwords and a prefix exclude each other; the prompt stays.
    before.assign(
        options.prompt.end() - static_cast<std::ptrdiff_t>(rest),
        options.prompt.end());
  }
  if (!before.empty()) {
    before.insert(before.begin(), tokenizer.sot_prev);
    tokens.insert(tokens.begin(), before.begin(), before.end());
  }
  return tokens;
}

int sample(
    std::span<const float> logits,
    double temperature,
    std::mt19937_64& random) {
  // Gumbel's trick: the largest of logits / t + noise is a fair draw.
  std::uniform_real_distribution<double> uniform(0, 1);
  int best = 0;
  double best_value = -std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < logits.size(); ++i) {
    if (std::isinf(logits[i])) {
      continue;
    }
    double noise = -std::log(-std::log(std::max(uniform(random), 1e-300)));
    double value = logits[i] / temperature + noise;
    if (value > best_value) {
      best_value = value;
      best = static_cast<int>(i);
    }
  }
  return best;
}

class Decoder {
 public:
  Decoder(
      const WhisperModel& model,
      const WhisperTokenizer& tokenizer,
      const EncodedWindows& windows,
      const DecodeOptions& options,
      std::mt19937_64& random)
      : model_(model),
        tokenizer_(tokenizer),
        windows_(windows),
        options_(options),
        random_(random),
        rules_(tokenizer, options),
        beam_(options.temperature == 0 && options.beam_size > 1),
        group_(
            options.temperature > 0 ? std::max(options.best_of, 1)
                                    : std::max(options.beam_size, 1)),
        max_finished_(
            std::max(
                1,
                static_cast<int>(std::lround(group_ * options.patience)))) {}

  std::vector<DecodeResult> run();

 private:
  // What a row of logits says of the next token.
  struct RowScores {
    float total = 0; // log of the sum of e^logit
    int best = 0; // of a greedy row
    std::vector<std::pair<float, int>> offers; // of a beam's
  };

  // Logits of the last position of every row, on the host, [rows x vocab].
  void fetch(const mx::array& hidden);
  std::span<float> row_logits(size_t row) {
    auto size = static_cast<size_t>(tokenizer_.n_vocab);
    return {logits_.data<float>() + row * size, size};
  }
  // Applies the rules to the logits of all active rows, and reads them.
  void score_rows(const std::vector<const Hypothesis*>& rows);
  void step_rows(Search& search, size_t first_row, std::vector<int>& sources);
  void step_beam(Search& search, size_t first_row, std::vector<int>& sources);
  DecodeResult finish(Search& search);

  const WhisperModel& model_;
  const WhisperTokenizer& tokenizer_;
  const EncodedWindows& windows_;
  const DecodeOptions& options_;
  std::mt19937_64& random_;
  LogitRules rules_;
  bool beam_;
  int group_;
  int max_finished_;
  mx::array logits_{0.0f};
  std::vector<RowScores> scores_; // of the rows of logits_
};

void Decoder::fetch(const mx::array& hidden) {
  logits_ = model_.logits(hidden);
  logits_.eval();
}

void Decoder::score_rows(const std::vector<const Hypothesis*>& rows) {
  scores_.resize(rows.size());
  kernels::parallel_for(static_cast<int64_t>(rows.size()), 1, [&](int64_t i) {
    auto at = static_cast<size_t>(i);
    if (rows[at]->done) {
      return;
    }
    auto logits = row_logits(at);
    auto& scores = scores_[at];
    rules_.apply(logits, rows[at]->sampled);
    scores.total = kernels::log_sum_exp(logits);
    if (beam_) {
      scores.offers = kernels::largest(logits, group_ + 1);
    } else if (options_.temperature == 0) {
      scores.best = kernels::argmax(logits);
    }
  });
}

// Greedy, or sampling of independent rows.
void Decoder::step_rows(
    Search& search,
    size_t first_row,
    std::vector<int>& sources) {
  bool all = true;
  for (size_t i = 0; i < search.rows.size(); ++i) {
    auto& row = search.rows[i];
    sources.push_back(static_cast<int>(first_row + i));
    if (row.done) {
      row.sampled.push_back(tokenizer_.eot);
      continue;
    }
    auto logits = row_logits(first_row + i);
    const auto& scores = scores_[first_row + i];
    int token = options_.temperature > 0
        ? sample(logits, options_.temperature, random_)
        : scores.best;
    row.sum_logprob += logits[static_cast<size_t>(token)] - scores.total;
    row.sampled.push_back(token);
    row.done = token == tokenizer_.eot;
    all = all && row.done;
  }
  search.done = all;
}

// The original's BeamSearchDecoder: each row offers its beam_size + 1 best, the
// best beam_size of all that do not end go on.
void Decoder::step_beam(
    Search& search,
    size_t first_row,
    std::vector<int>& sources) {
  struct Offer {
    float score;
    size_t row;
    int token;
  };
  std::vector<Offer> offers;
  for (size_t i = 0; i < search.rows.size(); ++i) {
    // Before the first choice all rows are one.
    if (i > 0 && search.rows[i].sampled.size() == options_.resume.size()) {
      break;
    }
    const auto& scores = scores_[first_row + i];
    for (auto [value, token] : scores.offers) {
      offers.push_back(
          {search.rows[i].sum_logprob + (value - scores.total), i, token});
    }
  }
  std::stable_sort(offers.begin(), offers.end(), [](auto& a, auto& b) {
    return a.score > b.score;
  });
  std::vector<Hypothesis> next;
  std::vector<std::pair<std::vector<int>, float>> ended;
  for (const auto& offer : offers) {
    const auto& from = search.rows[offer.row];
    if (offer.token == tokenizer_.eot) {
      ended.emplace_back(from.sampled, offer.score);
      continue;
    }
    next.push_back({from.sampled, offer.score, false});
    next.back().sampled.push_back(offer.token);
    sources.push_back(static_cast<int>(first_row + offer.row));
    if (next.size() == static_cast<size_t>(group_)) {
      break;
    }
  }
  for (auto& [sequence, score] : ended) {
    if (search.finished.size() >= static_cast<size_t>(max_finished_)) {
      break;
    }
    search.finished[std::move(sequence)] = score;
  }
  // Rows may lack continuations only where nearly all is forbidden.
  while (!next.empty() && next.size() < static_cast<size_t>(group_)) {
    next.push_back(next.back());
    next.back().sum_logprob = -1e30f;
    sources.push_back(sources.back());
  }
  search.done = next.empty() ||
      search.finished.size() >= static_cast<size_t>(max_finished_);
  search.rows = std::move(next);
}

DecodeResult Decoder::finish(Search& search) {
  struct Candidate {
    std::vector<int> tokens;
    float sum;
  };
  std::vector<Candidate> candidates;
  if (beam_) {
    auto rows = search.rows;
    std::stable_sort(rows.begin(), rows.end(), [](auto& a, auto& b) {
      return a.sum_logprob > b.sum_logprob;
    });
    for (auto& [tokens, sum] : search.finished) {
      candidates.push_back({tokens, sum});
    }
    for (auto& row : rows) {
      if (candidates.size() >= static_cast<size_t>(group_)) {
        break;
      }
      if (search.finished.emplace(row.sampled, row.sum_logprob).second) {
        candidates.push_back({row.sampled, row.sum_logprob});
      }
    }
  } else {
    for (auto& row : search.rows) {
      auto end =
          std::find(row.sampled.begin(), row.sampled.end(), tokenizer_.eot);
      candidates.push_back({{row.sampled.begin(), end}, row.sum_logprob});
    }
  }
  size_t best = 0;
  double best_score = -std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < candidates.size(); ++i) {
    auto length = static_cast<double>(
        candidates[i].tokens.size() - options_.resume.size());
    double penalty = options_.length_penalty
        ? std::pow((5 + length) / 6, *options_.length_penalty)
        : length;
    // A sequence of nothing but the end has no mean; as it is.
    double score = candidates[i].sum / (penalty > 0 ? penalty : 1);
    if (penalty <= 0) {
      score = -std::numeric_limits<double>::infinity();
    }
    if (score > best_score) {
      best_score = score;
      best = i;
    }
  }
  DecodeResult result;
  result.tokens.assign(
      candidates[best].tokens.begin() +
          static_cast<std::ptrdiff_t>(options_.resume.size()),
      candidates[best].tokens.end());
  result.text = strip(tokenizer_.decode(result.tokens));
  result.avg_logprob = static_cast<double>(candidates[best].sum) /
      static_cast<double>(result.tokens.size() + 1);
  result.temperature = options_.temperature;
  result.compression_ratio = compression_ratio(result.text);
  return result;
}

std::vector<DecodeResult> Decoder::run() {
  int context = model_.config().n_text_ctx;
  int sample_length =
      options_.max_tokens > 0 ? options_.max_tokens : context / 2;
  auto initial = initial_tokens(model_, tokenizer_, options_, sample_length);
  initial.insert(initial.end(), options_.resume.begin(), options_.resume.end());
  sample_length -= static_cast<int>(options_.resume.size());
  auto sot = std::find(initial.begin(), initial.end(), tokenizer_.sot);
  auto sot_at = static_cast<int>(sot - initial.begin());
  auto count = static_cast<size_t>(windows_.count());
  auto group = static_cast<size_t>(group_);

  DecoderState state(model_, windows_.memory, windows_.count() * group_);
  auto hidden = model_.decode(
      token_rows(std::vector<std::vector<int>>(count, initial)), state);
  int width = model_.config().n_text_state;
  auto position = [&](int at) {
    return mx::slice(hidden, {0, at, 0}, {windows_.count(), at + 1, width});
  };
  auto last = position(static_cast<int>(initial.size()) - 1);
  fetch(position(sot_at));
  std::vector<double> no_speech(count);
  for (size_t i = 0; i < count; ++i) {
    auto logits = row_logits(i);
    no_speech[i] = std::exp(
        logits[static_cast<size_t>(tokenizer_.no_speech)] -
        kernels::log_sum_exp(logits));
  }
  if (sot_at + 1 != static_cast<int>(initial.size())) {
    fetch(last);
  }
  std::vector<Search> searches(count);
  std::vector<int> active(count);
  std::iota(active.begin(), active.end(), 0);
  for (size_t i = 0; i < count; ++i) {
    searches[i].window = static_cast<int>(i);
    searches[i].rows.assign(group, {.sampled = options_.resume});
  }
  if (group > 1) {
    std::vector<int> sources;
    for (size_t row = 0; row < count * group; ++row) {
      sources.push_back(static_cast<int>(row / group));
    }
    logits_ = mx::contiguous(
        mx::repeat(
            mx::reshape(logits_, {windows_.count(), tokenizer_.n_vocab}),
            group_,
            0));
    logits_.eval();
    state.reorder(sources);
  }
  for (int step = 0;; ++step) {
    std::vector<int> sources;
    std::vector<int> going;
    std::vector<std::vector<int>> next;
    std::vector<const Hypothesis*> rows;
    for (int at : active) {
      for (const auto& row : searches[static_cast<size_t>(at)].rows) {
        rows.push_back(&row);
      }
    }
    score_rows(rows);
    for (size_t i = 0; i < active.size(); ++i) {
      auto& search = searches[static_cast<size_t>(active[i])];
      std::vector<int> mine;
      if (beam_) {
        step_beam(search, i * group, mine);
      } else {
        step_rows(search, i * group, mine);
      }
      if (search.done) {
        continue;
      }
      going.push_back(active[i]);
      sources.insert(sources.end(), mine.begin(), mine.end());
      for (const auto& row : search.rows) {
        next.push_back({row.sampled.back()});
      }
    }
    auto length = static_cast<int>(initial.size()) + step + 1;
    if (going.empty() || step + 1 >= sample_length || length > context) {
      break;
    }
    bool moved = going.size() != active.size();
    for (size_t i = 0; i < sources.size() && !moved; ++i) {
      moved = sources[i] != static_cast<int>(i);
    }
    if (moved) {
      state.reorder(sources);
    }
    active = going;
    state.set_windows(active);
    fetch(model_.decode(token_rows(next), state));
  }
  std::vector<DecodeResult> results;
  results.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    results.push_back(finish(searches[i]));
    results.back().no_speech_prob = no_speech[i];
  }
  return results;
}

} // namespace

double compression_ratio(const std::string& text) {
  if (text.empty()) {
    return 0;
  }
  uLongf size = compressBound(static_cast<uLong>(text.size()));
  std::vector<Bytef> packed(size);
  compress(
      packed.data(),
      &size,
      reinterpret_cast<const Bytef*>(text.data()),
      static_cast<uLong>(text.size()));
  return static_cast<double>(text.size()) / static_cast<double>(size);
}

int max_prompt_tokens(const WhisperConfig& config) {
  return config.n_text_ctx / 2 - 1;
}

EncodedWindows encode_windows(const WhisperModel& model, const mx::array& mel) {
  return remember_windows(model, model.encode(mel));
}

EncodedWindows remember_windows(
    const WhisperModel& model,
    const mx::array& audio) {
  auto memory = std::make_shared<AudioMemory>(model.remember(audio));
  // Evaluated together, so that nothing of the encoder is kept or redone.
  std::vector<mx::array> all = {audio};
  for (const auto& layer : *memory) {
    all.push_back(layer.keys);
    all.push_back(layer.values);
  }
  mx::eval(all);
  return {audio, std::move(memory)};
}

EncodedWindows select_windows(
    const EncodedWindows& windows,
    const std::vector<int>& places) {
  auto index =
      mx::array(places.begin(), {static_cast<int>(places.size())}, mx::int32);
  AudioMemory memory;
  for (const auto& layer : *windows.memory) {
    memory.push_back(
        {mx::take(layer.keys, index, 0), mx::take(layer.values, index, 0)});
  }
  return {
      mx::take(windows.audio, index, 0),
      std::make_shared<AudioMemory>(std::move(memory))};
}

std::vector<DecodeResult> decode_windows(
    const WhisperModel& model,
    const WhisperTokenizer& tokenizer,
    const EncodedWindows& windows,
    const DecodeOptions& options,
    std::mt19937_64& random) {
  return Decoder(model, tokenizer, windows, options, random).run();
}

std::vector<LanguageGuess> detect_language(
    const WhisperModel& model,
    const WhisperTokenizer& tokenizer,
    const EncodedWindows& windows,
    const std::vector<std::string>& candidates) {
  DecoderState state(model, windows.memory, windows.count());
  auto hidden = model.decode(
      token_rows(
          std::vector<std::vector<int>>(
              static_cast<size_t>(windows.count()), {tokenizer.sot})),
      state);
  auto logits = model.logits(hidden);
  logits.eval();
  const float* data = logits.data<float>();
  auto count = static_cast<size_t>(tokenizer.num_languages());
  std::span<const float> scores(data + tokenizer.sot + 1, count);
  float total = kernels::log_sum_exp(scores);
  std::set<std::string> wanted;
  for (const auto& candidate : candidates) {
    wanted.insert(language_code(candidate).value_or(candidate));
  }
  std::vector<LanguageGuess> guesses;
  for (size_t i = 0; i < count; ++i) {
    auto code = tokenizer.language_of(tokenizer.sot + 1 + static_cast<int>(i));
    if (wanted.empty() || wanted.count(code) > 0) {
      guesses.push_back(
          {code, std::exp(static_cast<double>(scores[i] - total))});
    }
  }
  std::stable_sort(guesses.begin(), guesses.end(), [](auto& a, auto& b) {
    return a.probability > b.probability;
  });
  return guesses;
}

} // namespace mlx_audio::whisper
