#include "models/whisper/live.h"

#include <algorithm>
#include <cctype>
#include <cmath>

#include "mlx_audio/error.h"
#include "models/whisper/timing.h"

namespace mlx_audio::whisper {

namespace {

// A word as it is compared: without case, spaces and ASCII punctuation.
std::string bare(const std::string& word) {
  std::string out;
  for (char c : word) {
    auto u = static_cast<unsigned char>(c);
    if (u >= 0x80 || std::isalnum(u) != 0) {
      out += u < 0x80 ? static_cast<char>(std::tolower(u)) : c;
    }
  }
  return out;
}

bool ends_sentence(const std::string& word) {
  static constexpr const char* marks[] = {".", "?", "!", "。", "？", "！"};
  return std::any_of(std::begin(marks), std::end(marks), [&](auto* mark) {
    return word.ends_with(mark);
  });
}

class Live : public LiveTranscription {
 public:
  Live(std::shared_ptr<Whisper> whisper, const LiveOptions& options)
      : whisper_(std::move(whisper)),
        options_(options),
        random_(options.transcription.seed) {
    check_options(options.transcription, *whisper_);
    auto check = [](const char* name, double value, double low, double high) {
      if (!(value >= low && value <= high)) {
        throw Error(
            ErrorKind::invalid_argument,
            std::string("live ") + name + " of " + std::to_string(value) +
                " s is not within " + std::to_string(low) + ".." +
                std::to_string(high));
      }
    };
    check("step", options.step, 0.2, 10);
    check("max_window", options.max_window, 8, 28);
    check("pause", options.pause, 0.1, 10);
    language_ = requested_language(options.transcription, whisper_->tokenizer);
  }

  void feed(std::span<const float> samples) override {
    for (float x : samples) {
      samples_.push_back(std::isfinite(x) ? std::clamp(x, -8.0f, 8.0f) : 0);
    }
    // Nobody calls step(): what is too old to be heard is given up.
    auto most = static_cast<size_t>(2 * options_.max_window * kSampleRate);
    if (samples_.size() > most) {
      forget(samples_.size() - most);
    }
  }

  std::optional<LiveUpdate> step() override {
    auto fresh = static_cast<double>(total() - heard_) / kSampleRate;
    if (fresh < options_.step) {
      return std::nullopt;
    }
    heard_ = total();
    return hear(false);
  }

  LiveUpdate close() override {
    heard_ = total();
    auto update = hear(true);
    end_segment(update);
    samples_.clear();
    return update;
  }

  std::string language() const override {
    return language_;
  }

 private:
  int64_t total() const {
    return offset_ + static_cast<int64_t>(samples_.size());
  }
  double start() const {
    return static_cast<double>(offset_) / kSampleRate;
  }

  void forget(size_t count) {
    count = std::min(count, samples_.size());
    samples_.erase(
        samples_.begin(),
        samples_.begin() + static_cast<std::ptrdiff_t>(count));
    offset_ += static_cast<int64_t>(count);
    double from = start();
    std::erase_if(
        hypothesis_, [from](const auto& word) { return word.end <= from; });
  }

  // Seconds up to the last sample within 40 dB of the loudest, and a tenth
  // more.
  static double end_of_sound(std::span<const float> sound) {
    float peak = 0;
    for (float x : sound) {
      peak = std::max(peak, std::abs(x));
    }
    auto last = std::find_if(sound.rbegin(), sound.rend(), [peak](float x) {
      return std::abs(x) > 0.01f * peak;
    });
    return static_cast<double>(sound.rend() - last) / kSampleRate + 0.1;
  }

  // Words of the whole buffer after the last final one.
  std::vector<TranscribedWord> recognize() {
    auto size = std::min(samples_.size(), static_cast<size_t>(kWindowSamples));
    std::span<const float> sound(samples_.data(), size);
    bool silent = std::all_of(sound.begin(), sound.end(), [](float x) {
      return std::abs(x) < 1e-5f;
    });
    auto frames = static_cast<int64_t>(size) / kHop;
    if (silent || frames < 10) {
      return {};
    }
    auto mel = whisper_->log_mel.frames(sound, 0, 0, kWindowFrames);
    // The loudest value so far, not this window's: the scale must not jump.
    maximum_ = std::max(maximum_, mx::max(mel).item<float>());
    auto windows = encode_windows(
        whisper_->model, mx::expand_dims(normalize_log_mel(mel, maximum_), 0));
    if (language_.empty()) {
      auto guess = detect_language(
          whisper_->model,
          whisper_->tokenizer,
          windows,
          options_.transcription.languages);
      if (guess.front().probability < 0.5 && size < 5 * kSampleRate) {
        return {}; // too little to tell the language
      }
      language_ = guess.front().code;
    }
    const auto& options = options_.transcription;
    auto decoding = decode_options(options, whisper_->tokenizer, language_);
    decoding.beam_size = options.beam_size;
    if (options.condition_on_previous_text) {
      decoding.prompt =
          whisper_->tokenizer.encode(options.initial_prompt + forgotten_text_);
    }
    auto result =
        decode_windows(
            whisper_->model, whisper_->tokenizer, windows, decoding, random_)
            .front();
    if (is_silence(result, options) ||
        (options.compression_ratio_threshold &&
         result.compression_ratio > *options.compression_ratio_threshold)) {
      return {};
    }
    auto split = split_window(
        result, whisper_->tokenizer, 0, frames, /* keep_tail */ true);
    add_word_timestamps(
        split.segments,
        whisper_->model,
        whisper_->tokenizer,
        windows.audio,
        static_cast<int>(frames),
        language_,
        options,
        0);
    // The last word must not end with the silence behind it.
    double quiet = end_of_sound(sound);
    std::vector<TranscribedWord> words;
    for (const auto& segment : split.segments) {
      for (auto word : segment.words) {
        word.end = std::min(word.end, std::max(quiet, word.start));
        word.start += start();
        word.end += start();
        if (word.end > final_until_ + 0.05) {
          words.push_back(word);
        }
      }
    }
    drop_repeated(words);
    return words;
  }

  // The first words may be final ones heard again a little later.
  void drop_repeated(std::vector<TranscribedWord>& words) const {
    for (size_t n = std::min<size_t>({5, words.size(), finals_.size()}); n > 0;
         --n) {
      bool same = words[0].start < final_until_ + 0.5;
      for (size_t i = 0; i < n && same; ++i) {
        same =
            bare(words[i].text) == bare(finals_[finals_.size() - n + i].text);
      }
      if (same) {
        words.erase(
            words.begin(), words.begin() + static_cast<std::ptrdiff_t>(n));
        return;
      }
    }
  }

  LiveUpdate hear(bool last) {
    LiveUpdate update;
    auto words = recognize();
    size_t agreed = last ? words.size() : agreeing_words(hypothesis_, words);
    for (size_t i = 0; i < agreed; ++i) {
      finish(words[i], update);
    }
    hypothesis_.assign(
        words.begin() + static_cast<std::ptrdiff_t>(agreed), words.end());
    for (const auto& word : hypothesis_) {
      update.pending += word.text;
    }
    double now = static_cast<double>(total()) / kSampleRate;
    bool pause = hypothesis_.empty() && !segment_.empty() &&
        now - segment_.back().end > options_.pause;
    if (pause) {
      end_segment(update);
    }
    trim(update, pause);
    return update;
  }

  void finish(const TranscribedWord& word, LiveUpdate& update) {
    update.words.push_back(word);
    segment_.push_back(word);
    finals_.push_back(word);
    final_until_ = std::max(final_until_, word.end);
  }

  void end_segment(LiveUpdate& update) {
    if (segment_.empty()) {
      return;
    }
    TranscriptionSegment segment;
    segment.id = next_id_++;
    segment.start = segment_.front().start;
    segment.end = segment_.back().end;
    segment.seek = static_cast<int64_t>(segment.start * kFramesPerSecond);
    for (const auto& word : segment_) {
      segment.text += word.text;
    }
    segment.words = std::move(segment_);
    segment_.clear();
    update.segment = std::move(segment);
  }

  // Cuts sound that is final: after a pause, at the end of a sentence once
  // there is much, or by force.
  void trim(LiveUpdate& update, bool pause) {
    double length = static_cast<double>(samples_.size()) / kSampleRate;
    double now = start() + length;
    double cut = start();
    if (pause) {
      cut = final_until_;
    } else if (length > options_.max_window / 2) {
      for (const auto& word : finals_) {
        if (ends_sentence(word.text) && word.end > cut) {
          cut = word.end;
        }
      }
      if (length > options_.max_window) {
        cut = std::max(cut, final_until_);
        if (now - cut > options_.max_window) { // nothing was final: give up
          for (const auto& word : hypothesis_) {
            finish(word, update);
          }
          hypothesis_.clear();
          update.pending.clear();
          cut = now - 2;
        }
      }
    } else if (finals_.empty() && hypothesis_.empty() && length > 4) {
      cut = now - 2; // silence so far
    }
    if (cut <= start()) {
      return;
    }
    if (cut >= final_until_ && !pause) {
      end_segment(update);
    }
    forget(static_cast<size_t>((cut - start()) * kSampleRate));
    while (!finals_.empty() && finals_.front().end <= cut) {
      forgotten_text_ += finals_.front().text;
      finals_.erase(finals_.begin());
    }
    if (forgotten_text_.size() > 400) { // bytes; the end prompts
      auto at = forgotten_text_.find(' ', forgotten_text_.size() - 300);
      forgotten_text_.erase(
          0, at == std::string::npos ? forgotten_text_.size() : at);
    }
  }

  std::shared_ptr<Whisper> whisper_;
  LiveOptions options_;
  std::mt19937_64 random_;
  std::string language_;
  std::vector<float> samples_;
  int64_t offset_ = 0; // of samples_[0] in all that was fed
  int64_t heard_ = 0; // samples at the last look
  float maximum_ = -1.5f; // log10 of the loudest mel value; quiet rooms: this
  double final_until_ = 0; // seconds
  std::vector<TranscribedWord> finals_; // whose sound is still kept
  std::vector<TranscribedWord> segment_; // final since the last segment
  std::vector<TranscribedWord> hypothesis_; // heard once
  std::string forgotten_text_;
  int next_id_ = 0;
};

} // namespace

size_t agreeing_words(
    const std::vector<TranscribedWord>& before,
    const std::vector<TranscribedWord>& now) {
  size_t n = 0;
  while (n < before.size() && n < now.size() &&
         bare(before[n].text) == bare(now[n].text)) {
    ++n;
  }
  return n;
}

std::unique_ptr<LiveTranscription> make_live(
    std::shared_ptr<Whisper> whisper,
    const LiveOptions& options) {
  return std::make_unique<Live>(std::move(whisper), options);
}

} // namespace mlx_audio::whisper
