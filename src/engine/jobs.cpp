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
    std::optional<TranscriptionSegment> segment;
    if (stream_->step(segment)) {
      if (!segment) {
        return JobStep::again;
      }
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
      result_.truncated = stream_->truncated();
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

class EnhancementJob : public Job {
 public:
  EnhancementJob(
      EnhancementSession session,
      std::function<JobStep(std::vector<float>&)> read,
      std::function<void(Audio&&)> chunk)
      : session_(std::move(session)),
        read_(std::move(read)),
        chunk_(std::move(chunk)) {}

  JobStep step() override {
    Audio out;
    bool worked = session_.step(out.samples);
    if (!out.samples.empty()) {
      out.sample_rate = session_.sample_rate();
      out.channels = session_.channels();
      chunk_(std::move(out));
    }
    if (worked) {
      return JobStep::again;
    }
    if (closed_) {
      return JobStep::done;
    }
    std::vector<float> samples;
    auto next = read_(samples);
    if (next == JobStep::done) {
      session_.close();
      closed_ = true;
      return JobStep::again;
    }
    session_.feed(samples);
    return next;
  }

 private:
  EnhancementSession session_;
  std::function<JobStep(std::vector<float>&)> read_;
  std::function<void(Audio&&)> chunk_;
  bool closed_ = false;
};

} // namespace

std::unique_ptr<Job> enhancement_job(
    const Enhancer& model,
    std::shared_ptr<const void> sound,
    std::span<const uint8_t> bytes,
    const EnhancementOptions& options,
    EnhancementCallbacks callbacks) {
  auto reader = std::make_shared<AudioReader>(bytes);
  auto channels = static_cast<size_t>(reader->channels());
  auto half_a_second =
      static_cast<size_t>(reader->sample_rate() / 2) * channels;
  auto read = [sound = std::move(sound), reader, channels, half_a_second](
                  std::vector<float>& samples) {
    samples.resize(half_a_second);
    samples.resize(reader->read(samples) * channels);
    return samples.empty() ? JobStep::done : JobStep::again;
  };
  return std::make_unique<EnhancementJob>(
      model.session(reader->sample_rate(), reader->channels(), options),
      std::move(read),
      std::move(callbacks.chunk));
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

std::unique_ptr<Job> enhancement_job(
    EnhancementSession session,
    std::function<JobStep(std::vector<float>& samples)> read,
    std::function<void(Audio&&)> chunk) {
  return std::make_unique<engine::EnhancementJob>(
      std::move(session), std::move(read), std::move(chunk));
}

} // namespace mlx_audio
