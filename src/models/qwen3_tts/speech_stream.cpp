#include "models/qwen3_tts/speech_stream.h"

#include <algorithm>

namespace mlx_audio::qwen3_tts {

namespace {

constexpr int kWholeChunk = 25; // frames, 2 s: the decoder is efficient there
constexpr int kSampleRate = 24000;

// Frames that a text may take: slow speech is about 8 a token; what runs on
// far beyond has lost its way.
int most_frames(int tokens) {
  return 150 + 20 * tokens;
}

} // namespace

Stream::Stream(
    const Network& network,
    const TextIds& ids,
    std::shared_ptr<FrameLoop<Generator>> loop,
    Plan plan)
    : network_(network),
      ids_(ids),
      plan_(std::move(plan)),
      loop_(std::move(loop)),
      chunk_frames_(plan_.low_latency ? 1 : kWholeChunk) {
  if (plan_.voice) {
    decoded_ = plan_.voice->decoded;
  }
  // Here, so that a prompt that does not fit is refused with the request.
  start_piece();
}

Stream::~Stream() {
  stop();
}

void Stream::start_piece() {
  const TextPiece& piece = plan_.pieces[piece_];
  auto text =
      std::string_view(plan_.text).substr(piece.begin, piece.end - piece.begin);
  PromptRequest request;
  request.text_ids = ids_.to_say(text);
  request.instruct_ids = plan_.instruct_ids;
  request.language = plan_.language;
  request.speaker = plan_.speaker;
  request.whole_text_first = plan_.whole_text_first;
  if (plan_.voice) {
    request.voice = plan_.voice->speaker;
    if (plan_.voice->context) {
      request.context = &*plan_.voice->context;
    }
  }
  // Later pieces go on from the one before, so that the voice stays the same.
  if (carried_ && request.context == nullptr) {
    request.context = &*carried_;
  }
  Settings settings = plan_.settings;
  settings.seed += piece_;
  if (plan_.limited) {
    settings.max_frames -= frames_;
  } else {
    settings.max_frames =
        std::min(settings.max_frames, most_frames(ids_.count(text)));
  }
  request_ = loop_->add(
      make_prompt(network_.talker, network_.config, request), settings);
  said_.clear();
}

void Stream::read_frame() {
  auto frame = loop_->next(*request_);
  pending_.insert(pending_.end(), frame.codes.begin(), frame.codes.end());
  said_.insert(said_.end(), frame.codes.begin(), frame.codes.end());
  frames_ += frame.codes.empty() ? 0 : 1;
  if (frame.finish == Finish::none) {
    return;
  }
  request_.reset();
  if (frame.finish == Finish::length) {
    finish_ = FinishReason::length;
  }
  const TextPiece& piece = plan_.pieces[piece_++];
  bool out_of_frames = plan_.limited && frames_ >= plan_.settings.max_frames;
  if (piece_ == plan_.pieces.size() || out_of_frames) {
    done_ = true;
    return;
  }
  int groups = network_.config.groups;
  if (!said_.empty()) {
    auto text = std::string_view(plan_.text)
                    .substr(piece.begin, piece.end - piece.begin);
    carried_ = SpokenContext{
        mx::array(
            said_.data(),
            {static_cast<int>(said_.size()) / groups, groups},
            mx::int32),
        ids_.said(text)};
  }
}

// The original decodes the recording's frames and ours together and cuts the
// recording off by a fraction of the whole, rounded down; that may leave its
// last sample. We do the same where the whole is known before the first chunk.
bool Stream::cut_by_length() const {
  return !plan_.low_latency && plan_.voice && plan_.voice->context &&
      plan_.pieces.size() == 1;
}

bool Stream::chunk_is_full() const {
  auto frames = static_cast<int>(pending_.size()) / network_.config.groups;
  return frames >= chunk_frames_ && !cut_by_length();
}

SpeechChunk Stream::take_chunk() {
  int groups = network_.config.groups;
  int frames = static_cast<int>(pending_.size()) / groups;
  SpeechChunk chunk;
  chunk.sample_rate = kSampleRate;
  chunk.text_begin = plan_.pieces[0].begin;
  chunk.text_end =
      piece_ == 0 ? chunk.text_begin : plan_.pieces[piece_ - 1].end;
  chunk.warning = std::move(plan_.warning);
  plan_.warning.clear();
  if (frames > 0) {
    auto samples = network_.tokenizer->decode(
        mx::array(pending_.data(), {frames, groups}, mx::int32), decoded_);
    samples.eval();
    if (cut_by_length()) {
      int heard = plan_.voice->context->codes.shape(0);
      double total = heard + frames;
      double step = network_.tokenizer->frame_samples();
      if (static_cast<int64_t>(heard / total * (total * step)) <
          static_cast<int64_t>(heard * step)) {
        chunk.samples.push_back(plan_.voice->last_sample);
      }
    }
    chunk.samples.insert(
        chunk.samples.end(),
        samples.data<float>(),
        samples.data<float>() + samples.size());
    pending_.clear();
  }
  if (plan_.low_latency) {
    chunk_frames_ = std::min(2 * chunk_frames_, kWholeChunk);
  }
  return chunk;
}

std::optional<SpeechChunk> Stream::next() {
  if (done_ && pending_.empty()) {
    return std::nullopt;
  }
  while (!done_ && !chunk_is_full()) {
    if (!request_) {
      start_piece();
    }
    read_frame();
  }
  auto chunk = take_chunk();
  if (done_) {
    chunk.finish_reason = finish_;
  }
  return chunk;
}

void Stream::stop() {
  if (request_) {
    loop_->remove(*request_);
    request_.reset();
  }
  done_ = true;
  pending_.clear();
}

} // namespace mlx_audio::qwen3_tts
