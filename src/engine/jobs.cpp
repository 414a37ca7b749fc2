#include "engine/jobs.h"

namespace mlx_audio::engine {

namespace {

class SpeechJob : public Job {
 public:
  SpeechJob(
      std::unique_ptr<SpeechStream> stream,
      std::function<void(SpeechChunk&&)> chunk)
      : stream_(std::move(stream)), chunk_(std::move(chunk)) {}

  JobStep step() override {
    auto chunk = stream_->next();
    if (!chunk) {
      return JobStep::done;
    }
    bool last = chunk->finish_reason.has_value();
    chunk_(std::move(*chunk));
    return last ? JobStep::done : JobStep::again;
  }

 private:
  std::unique_ptr<SpeechStream> stream_;
  std::function<void(SpeechChunk&&)> chunk_;
};

class TranscriptionJob : public Job {
 public:
  TranscriptionJob(
      TranscriptionModel& model,
      std::shared_ptr<const void> sound,
      const TranscriptionRequest& request,
      TranscriptionCallbacks callbacks)
      : sound_(std::move(sound)),
        request_(request),
        callbacks_(std::move(callbacks)),
        stream_(model.transcribe(request_)) {}

  JobStep step() override {
    if (auto segment = stream_->next()) {
      if (callbacks_.result) {
        result_.text += segment->text;
        result_.segments.push_back(*segment);
      }
      if (callbacks_.segment) {
        callbacks_.segment(
            std::move(*segment),
            {stream_->language(), stream_->position(), stream_->duration()});
      }
      return JobStep::again;
    }
    if (callbacks_.result) {
      result_.language = stream_->language();
      result_.language_probability = stream_->language_probability();
      result_.duration = stream_->duration();
      result_.task = request_.options.task;
      result_.has_words = request_.options.word_timestamps;
      callbacks_.result(std::move(result_));
    }
    return JobStep::done;
  }

 private:
  std::shared_ptr<const void> sound_;
  TranscriptionRequest request_;
  TranscriptionCallbacks callbacks_;
  std::unique_ptr<TranscriptionStream> stream_;
  Transcription result_;
};

// Reads half a second of sound at a time, or enhances a window.
class EnhancementJob : public Job {
 public:
  EnhancementJob(
      const Enhancer& model,
      std::shared_ptr<const void> sound,
      std::span<const uint8_t> bytes,
      const EnhancementOptions& options,
      EnhancementCallbacks callbacks)
      : sound_(std::move(sound)),
        reader_(bytes),
        session_(
            model.session(reader_.sample_rate(), reader_.channels(), options)),
        callbacks_(std::move(callbacks)),
        block_(
            static_cast<size_t>(reader_.sample_rate() / 2) *
            static_cast<size_t>(reader_.channels())) {}

  JobStep step() override {
    Audio out;
    bool worked = session_.step(out.samples);
    if (!out.samples.empty()) {
      out.sample_rate = session_.sample_rate();
      out.channels = session_.channels();
      callbacks_.chunk(std::move(out));
    }
    if (worked) {
      return JobStep::again;
    }
    if (closed_) {
      return JobStep::done;
    }
    size_t frames = reader_.read(block_);
    if (frames == 0) {
      session_.close();
      closed_ = true;
    } else {
      session_.feed(
          std::span(block_).first(
              frames * static_cast<size_t>(reader_.channels())));
    }
    return JobStep::again;
  }

 private:
  std::shared_ptr<const void> sound_;
  AudioReader reader_;
  EnhancementSession session_;
  EnhancementCallbacks callbacks_;
  std::vector<float> block_;
  bool closed_ = false;
};

} // namespace

std::unique_ptr<Job> enhancement_job(
    const Enhancer& model,
    std::shared_ptr<const void> sound,
    std::span<const uint8_t> bytes,
    const EnhancementOptions& options,
    EnhancementCallbacks callbacks) {
  return std::make_unique<EnhancementJob>(
      model, std::move(sound), bytes, options, std::move(callbacks));
}

std::unique_ptr<Job> transcription_job(
    TranscriptionModel& model,
    std::shared_ptr<const void> sound,
    const TranscriptionRequest& request,
    TranscriptionCallbacks callbacks) {
  return std::make_unique<TranscriptionJob>(
      model, std::move(sound), request, std::move(callbacks));
}

} // namespace mlx_audio::engine

namespace mlx_audio {

std::unique_ptr<Job> speech_job(
    SpeechModel& model,
    const SpeechRequest& request,
    std::function<void(SpeechChunk&&)> chunk) {
  return std::make_unique<engine::SpeechJob>(
      model.synthesize(request), std::move(chunk));
}

} // namespace mlx_audio
