#include "models/mossformer2_se/segmenter.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace mlx_audio::mossformer2_se {

void Segmenter::feed(std::span<const float> samples) {
  buffer_.insert(buffer_.end(), samples.begin(), samples.end());
  total_ += static_cast<int64_t>(samples.size());
}

bool Segmenter::step(std::vector<float>& out) {
  if (done_) {
    return false;
  }
  switch (plan_.mode) {
    case Segments::crossfade:
      return step_crossfade(out);
    case Segments::original:
      return step_original(out);
    case Segments::chunked:
      return step_chunked(out);
    case Segments::whole:
      break;
  }
  if (!closed_) {
    return false;
  }
  emit(run(0, total_, Frontend::Ends::filled), 0, total_, out);
  done_ = true;
  return true;
}

// Samples behind the end are zeros.
std::vector<float>
Segmenter::run(int64_t begin, int64_t end, Frontend::Ends ends) {
  auto from = static_cast<size_t>(begin - base_);
  auto count = static_cast<size_t>(end - begin);
  if (end > total_) {
    std::vector<float> padded(
        buffer_.begin() + static_cast<ptrdiff_t>(from), buffer_.end());
    padded.resize(count, 0.0f);
    return enhance_(padded, ends);
  }
  return enhance_(std::span(buffer_).subspan(from, count), ends);
}

void Segmenter::emit(
    const std::vector<float>& y,
    int64_t begin,
    int64_t to,
    std::vector<float>& out) {
  to = std::min(to, begin + static_cast<int64_t>(y.size()));
  if (to > emitted_) {
    out.insert(
        out.end(),
        y.begin() + static_cast<ptrdiff_t>(emitted_ - begin),
        y.begin() + static_cast<ptrdiff_t>(to - begin));
    emitted_ = to;
  }
}

void Segmenter::forget(int64_t before) {
  int64_t n = std::clamp<int64_t>(
      before - base_, 0, static_cast<int64_t>(buffer_.size()));
  buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<ptrdiff_t>(n));
  base_ += n;
}

bool Segmenter::step_crossfade(std::vector<float>& out) {
  bool last = closed_ && total_ <= next_;
  if (!last && total_ <= next_) {
    return false;
  }
  int64_t end = last ? total_ : next_;
  int64_t begin = std::max<int64_t>(0, end - plan_.window);
  // A signal of one window equals upstream's wherever upstream gives any.
  bool whole = last && begin == 0 && emitted_ == 0;
  auto y =
      run(begin, end, whole ? Frontend::Ends::filled : Frontend::Ends::smooth);
  // Joint with the window before: equal-gain, as both hold the same speech.
  for (size_t i = 0; i < tail_.size(); ++i) {
    auto at = static_cast<size_t>(emitted_ - begin) + i;
    if (at < y.size()) {
      double phase = std::numbers::pi * (static_cast<double>(i) + 0.5) /
          static_cast<double>(tail_.size());
      auto share = static_cast<float>(0.5 - 0.5 * std::cos(phase));
      y[at] = share * y[at] + (1 - share) * tail_[i];
    }
  }
  if (last) {
    emit(y, begin, end, out);
    done_ = true;
    return true;
  }
  int64_t joint = end - plan_.lookahead - plan_.fade;
  emit(y, begin, joint, out);
  auto from = y.begin() + static_cast<ptrdiff_t>(emitted_ - begin);
  tail_.assign(from, from + plan_.fade);
  next_ += plan_.step;
  // The last window may begin up to a step before the next one.
  forget(next_ - plan_.step - plan_.window);
  return true;
}

// Upstream pads what is longer than `first` with zeros behind its end, runs
// windows while they fit, and leaves zeros where none of them gives a result.
bool Segmenter::step_original(std::vector<float>& out) {
  if (!started_) {
    if (total_ <= plan_.first) {
      if (!closed_) {
        return false;
      }
      emit(run(0, total_, Frontend::Ends::upstream), 0, total_, out);
      done_ = true;
      return true;
    }
    started_ = true;
    next_ = 0;
  }
  int64_t padded = total_;
  if (closed_) {
    if (total_ < plan_.window) {
      padded = plan_.window;
    } else if (total_ < plan_.window + plan_.step) {
      padded = plan_.window + plan_.step;
    } else if (int64_t over = (total_ - plan_.window) % plan_.step; over != 0) {
      padded = 2 * total_ - (total_ - plan_.window) / plan_.step * plan_.step;
    }
  }
  if (next_ + plan_.window > padded) {
    if (!closed_) {
      return false;
    }
    out.insert(out.end(), static_cast<size_t>(total_ - emitted_), 0.0f);
    done_ = true;
    return true;
  }
  if (next_ >= total_) { // only zeros go in, and the result is cut off
    next_ += plan_.step;
    return true;
  }
  auto y = run(next_, next_ + plan_.window, Frontend::Ends::upstream);
  emit(y, next_, std::min(total_, next_ + plan_.window - plan_.drop), out);
  next_ += plan_.step;
  forget(next_);
  return true;
}

bool Segmenter::step_chunked(std::vector<float>& out) {
  if (!started_) {
    if (total_ <= plan_.first) {
      if (!closed_) {
        return false;
      }
      emit(run(0, total_, Frontend::Ends::upstream), 0, total_, out);
      done_ = true;
      return true;
    }
    started_ = true;
    next_ = 0;
  }
  bool full = next_ + plan_.window <= total_;
  if (!full && !closed_) {
    return false;
  }
  if (next_ >= total_) {
    done_ = true;
    return false;
  }
  int64_t end = full ? next_ + plan_.window : total_;
  if (end - plan_.drop > emitted_ || !full) {
    emit(
        run(next_, end, Frontend::Ends::upstream),
        next_,
        full ? end - plan_.drop : end,
        out);
  }
  next_ += plan_.step;
  forget(next_);
  return true;
}

} // namespace mlx_audio::mossformer2_se
