#include "models/transcription/audio_feed.h"

#include <algorithm>
#include <filesystem>

#include "mlx_audio/error.h"

namespace mlx_audio {

namespace {

constexpr size_t kBlock = 16384; // samples

} // namespace

AudioFeed::AudioFeed(const TranscriptionRequest& request, int sample_rate)
    : request_(request) {
  int sources = !request.path.empty() + !request.bytes.empty() +
      (request.audio != nullptr);
  if (sources != 1) {
    throw Error(
        ErrorKind::invalid_argument,
        sources == 0 ? "nothing to transcribe was given"
                     : "more than one source was given");
  }
  auto& reading = request_.reading;
  reading.sample_rate = sample_rate;
  reading.mono = !reading.channel;
  if (request.audio != nullptr) {
    const Audio& audio = *request.audio;
    if (audio.sample_rate <= 0 || audio.channels <= 0) {
      throw Error(
          ErrorKind::invalid_argument,
          "audio of " + std::to_string(audio.sample_rate) + " Hz and " +
              std::to_string(audio.channels) + " channels");
    }
    Audio mono = audio.channels == 1 ? audio : mix_to_mono(audio);
    samples_ = std::move(
        mono.sample_rate == sample_rate ? mono.samples
                                        : resample(mono, sample_rate).samples);
    for (size_t i = 0; i < samples_.size(); ++i) {
      if (!(samples_[i] - samples_[i] == 0)) {
        throw Error(
            ErrorKind::corrupt_data,
            "sample " + std::to_string(i) + " is not finite");
      }
    }
    in_memory_ = true;
    total_ = static_cast<int64_t>(samples_.size());
    complete_ = true;
    return;
  }
  std::error_code error;
  pipe_ = request.bytes.empty() &&
      (request.path == "-" ||
       (std::filesystem::exists(request.path, error) &&
        !std::filesystem::is_regular_file(request.path, error) &&
        !std::filesystem::is_directory(request.path, error)));
  reader_ = open();
}

std::unique_ptr<AudioReader> AudioFeed::open() const {
  return request_.bytes.empty()
      ? std::make_unique<AudioReader>(request_.path, request_.reading)
      : std::make_unique<AudioReader>(request_.bytes, request_.reading);
}

bool AudioFeed::scan(const std::function<void(std::span<const float>)>& block) {
  if (in_memory_) {
    for (size_t at = 0; at < samples_.size(); at += kBlock) {
      block(
          std::span<const float>(samples_).subspan(
              at, std::min(kBlock, samples_.size() - at)));
    }
    return true;
  }
  if (pipe_) {
    return false;
  }
  auto reader = open();
  std::vector<float> buffer(kBlock);
  int64_t total = 0;
  while (size_t count = reader->read(buffer)) {
    block(std::span<const float>(buffer).first(count));
    total += static_cast<int64_t>(count);
  }
  total_ = total;
  complete_ = true;
  return true;
}

std::span<const float> AudioFeed::window(int64_t from, int64_t to) {
  from = std::max<int64_t>(from, 0);
  if (!in_memory_) {
    int64_t floor = std::min(from, keep_);
    if (floor > offset_) {
      auto gone = std::min<int64_t>(
          floor - offset_, static_cast<int64_t>(samples_.size()));
      samples_.erase(samples_.begin(), samples_.begin() + gone);
      offset_ += gone;
    }
    std::vector<float> buffer(kBlock);
    while (offset_ + static_cast<int64_t>(samples_.size()) < to) {
      size_t count = reader_->read(buffer);
      if (count == 0) {
        total_ = offset_ + static_cast<int64_t>(samples_.size());
        complete_ = true;
        break;
      }
      samples_.insert(
          samples_.end(),
          buffer.begin(),
          buffer.begin() + static_cast<std::ptrdiff_t>(count));
      if (offset_ < floor) { // a jump over what nobody wants
        auto gone = std::min<int64_t>(
            floor - offset_, static_cast<int64_t>(samples_.size()));
        samples_.erase(samples_.begin(), samples_.begin() + gone);
        offset_ += gone;
      }
    }
    if (!complete_) {
      total_ = offset_ + static_cast<int64_t>(samples_.size());
    }
  }
  auto size = static_cast<int64_t>(samples_.size());
  auto begin = std::clamp<int64_t>(from - offset_, 0, size);
  auto end = std::clamp<int64_t>(to - offset_, begin, size);
  return std::span<const float>(samples_).subspan(
      static_cast<size_t>(begin), static_cast<size_t>(end - begin));
}

std::string AudioFeed::warning() const {
  return reader_ ? reader_->warning() : "";
}

} // namespace mlx_audio
