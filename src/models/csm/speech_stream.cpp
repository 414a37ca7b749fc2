#include "models/csm/speech_stream.h"

#include <algorithm>

#include "mlx_audio/error.h"

namespace mlx_audio::csm {

namespace {

constexpr int kWholeChunk = 25; // frames, 2 s: the decoder is efficient there
constexpr int kSampleRate = 24000;

// Frames that a text may take, slow speech being about 8 a token, and those
// that it needs to be spoken quickly.
int most_frames(int tokens) {
  return 150 + 20 * tokens;
}
int fewest_frames(int tokens) {
  return 12 + 5 * tokens;
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
  // Here, so that a prompt that does not fit is refused with the request.
  start_piece();
}

Stream::~Stream() {
  stop();
}

std::string_view Stream::text_of(size_t piece) const {
  const TextPiece& p = plan_.pieces[piece];
  return std::string_view(plan_.text).substr(p.begin, p.end - p.begin);
}

mx::array Stream::prompt_of(std::string_view text) const {
  std::vector<Segment> context;
  if (plan_.voice && network_.config.voice_match) {
    std::string joined = plan_.voice->text + " " + std::string(text);
    context.push_back(
        {ids_.said(plan_.speaker, joined),
         plan_.voice->codes,
         /* ended */ false});
    return make_prompt(network_.talker, context, {});
  }
  if (plan_.voice) {
    context.push_back(
        {ids_.said(plan_.speaker, plan_.voice->text), plan_.voice->codes});
  } else if (carried_) {
    // Later pieces go on from the one before, so that the voice stays the same.
    context.push_back(*carried_);
  }
  return make_prompt(network_.talker, context, ids_.said(plan_.speaker, text));
}

// The most frames of a piece behind a prompt of so many positions.
int Stream::frames_for(int tokens, int positions) const {
  bool alone = plan_.pieces.size() == 1;
  int wanted = plan_.settings.max_frames - (plan_.limited ? frames_ : 0);
  if (plan_.limited && alone) {
    return wanted; // the generator refuses what does not fit
  }
  int room = network_.config.context - 1 - positions;
  int needed = std::min(wanted, fewest_frames(tokens));
  if (room < needed) {
    throw Error(
        ErrorKind::too_large,
        "the voice's recording and the text take " + std::to_string(positions) +
            " of the model's " + std::to_string(network_.config.context) +
            " positions, which leaves too few for the " +
            std::to_string(needed) + " frames of speech",
        "give a shorter recording and its text");
  }
  return std::min({wanted, most_frames(tokens), room});
}

void Stream::start_piece() {
  auto text = text_of(piece_);
  auto prompt = prompt_of(text);
  Settings settings = plan_.settings;
  settings.seed += piece_;
  settings.max_frames = frames_for(ids_.count(text), prompt.shape(0));
  request_ = loop_->add(prompt, settings);
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
  size_t spoken = piece_++;
  bool out_of_frames = plan_.limited && frames_ >= plan_.settings.max_frames;
  if (piece_ == plan_.pieces.size() || out_of_frames) {
    done_ = true;
    return;
  }
  int groups = network_.config.groups;
  if (!said_.empty()) {
    carried_ = Segment{
        ids_.said(plan_.speaker, text_of(spoken)),
        mx::array(
            said_.data(),
            {static_cast<int>(said_.size()) / groups, groups},
            mx::int32)};
  }
}

SpeechChunk Stream::take_chunk() {
  int groups = network_.config.groups;
  int frames = static_cast<int>(pending_.size()) / groups;
  SpeechChunk chunk;
  chunk.sample_rate = kSampleRate;
  chunk.text_begin = plan_.pieces[0].begin;
  chunk.text_end =
      piece_ == 0 ? chunk.text_begin : plan_.pieces[piece_ - 1].end;
  if (frames > 0) {
    auto samples = network_.codec->decode(
        mx::array(pending_.data(), {frames, groups}, mx::int32), decoded_);
    chunk.samples.assign(
        samples.data<float>(), samples.data<float>() + samples.size());
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
  while (!done_ &&
         static_cast<int>(pending_.size()) <
             chunk_frames_ * network_.config.groups) {
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

} // namespace mlx_audio::csm
