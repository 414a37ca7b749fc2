#include "server/realtime/enhancement_socket.h"

#include <mutex>

#include "audio/samples.h"
#include "server/realtime/session.h"

namespace mlx_audio::server {

namespace {

// Of sound that waits, 1.5 MB a second at most.
constexpr double kMostBehind = 10; // seconds
constexpr double kFewBehind = 5; // seconds

} // namespace

struct EnhancementSocket::Line {
  std::mutex mutex;
  std::vector<float> samples; // that came and were not taken
  bool ended = false; // nothing follows
  double samples_a_second = 1;

  double behind() {
    std::lock_guard lock(mutex);
    return static_cast<double>(samples.size()) / samples_a_second;
  }
  JobStep take(std::vector<float>& out) {
    std::lock_guard lock(mutex);
    out.swap(samples);
    if (!out.empty()) {
      return JobStep::again;
    }
    return ended ? JobStep::done : JobStep::wait;
  }
};

EnhancementSocket::EnhancementSocket(
    Engine& engine,
    FindModel find_model,
    std::shared_ptr<WebSocketPeer> peer)
    : engine_(engine),
      find_model_(std::move(find_model)),
      peer_(std::move(peer)),
      pace_(kMostBehind, kFewBehind) {}

void EnhancementSocket::on_close() {
  if (ticket_) {
    ticket_->cancel();
  }
}

void EnhancementSocket::on_text(std::string_view message) {
  try {
    if (!ticket_) {
      begin(message);
      return;
    }
    Json value = parse_object(message);
    auto action = Fields(value).text("action", 32).value_or("");
    if (action != "stop") {
      invalid_value("action", "must be 'stop'");
    }
    stop();
  } catch (const ApiError& error) {
    fail(error);
  } catch (const Error& error) {
    fail(ApiError(error));
  }
}

void EnhancementSocket::begin(std::string_view message) {
  Json value = parse_object(message);
  Fields fields(value);
  auto model = find_model_(fields.text("model", 300).value_or("mossformer2"));
  sample_rate_ = static_cast<int>(
      fields.integer("sample_rate", 8000, 192000).value_or(48000));
  channels_ = static_cast<int>(fields.integer("channels", 1, 8).value_or(1));
  auto format = fields.text("format", 32).value_or("s16");
  if (format != "s16" && format != "f32") {
    invalid_value("format", "must be 's16' or 'f32'");
  }
  format_ = parse_sample_format(format);
  EnhancementOptions options{.sample_rate = 0, .live = true};
  options.mix = static_cast<float>(fields.number("mix", 0, 1).value_or(0));
  options.hop_seconds =
      fields.number("hop_seconds", 0.05, 10).value_or(options.hop_seconds);
  options.lookahead_seconds = fields.number("lookahead_seconds", 0.05, 5)
                                  .value_or(options.lookahead_seconds);

  auto line = std::make_shared<Line>();
  line->samples_a_second = static_cast<double>(sample_rate_) * channels_;
  auto read = [this, line, peer = peer_](std::vector<float>& samples) {
    auto step = line->take(samples);
    peer->post([this, line, peer] { pace_.look(line->behind(), *peer); });
    return step;
  };
  auto chunk = [format = format_, peer = peer_](Audio&& audio) {
    std::vector<uint8_t> bytes;
    audio::encode_samples(audio.samples, format, bytes);
    peer->send_binary({bytes.begin(), bytes.end()});
  };
  auto start =
      [=, this, rate = sample_rate_, channels = channels_, peer = peer_](
          LoadedModel* loaded) {
        auto session = loaded->enhancer->session(rate, channels, options);
        Json created = {
            {"model", loaded->id},
            {"sample_rate", session.sample_rate()},
            {"channels", session.channels()},
            {"format", format},
            {"latency_seconds", session.latency_seconds()}};
        peer->post([this, created] { send("session.created", created); });
        return enhancement_job(std::move(session), read, chunk);
      };
  auto finished = [this, peer = peer_](const Error* error) {
    auto failure =
        error == nullptr ? std::optional<Error>() : std::optional(*error);
    peer->post([this, failure] { this->finished(failure); });
  };
  // Not live: a window takes a good part of a hop's time, so that sessions
  // with that share would leave nothing to others.
  ticket_ = engine_.submit(
      {.model = model,
       .task = ModelTask::enhancement,
       .priority = Priority::interactive,
       .start = std::move(start),
       .finished = std::move(finished)});
  line_ = std::move(line);
  begun_ = std::chrono::steady_clock::now();
}

void EnhancementSocket::on_binary(std::span<const uint8_t> message) {
  if (!ticket_) {
    fail(ApiError(
        400, "send the settings as JSON before sound: {\"model\": ...}"));
    return;
  }
  if (stopping_) {
    return;
  }
  if (std::chrono::steady_clock::now() - begun_ >
      std::chrono::seconds(kSessionSeconds)) {
    fail(ApiError(
        400,
        "the session has reached its limit of 60 minutes",
        "",
        "session_expired"));
    stop();
    return;
  }
  bytes_.insert(bytes_.end(), message.begin(), message.end());
  auto storage = audio::storage_of(format_);
  auto frame_bytes =
      audio::storage_bytes(storage) * static_cast<size_t>(channels_);
  size_t frames = bytes_.size() / frame_bytes;
  std::vector<float> samples(frames * static_cast<size_t>(channels_));
  audio::decode_samples(bytes_, storage, samples);
  bytes_.erase(
      bytes_.begin(),
      bytes_.begin() + static_cast<std::ptrdiff_t>(frames * frame_bytes));
  {
    std::lock_guard lock(line_->mutex);
    line_->samples.insert(line_->samples.end(), samples.begin(), samples.end());
  }
  seconds_ += static_cast<double>(frames) / sample_rate_;
  ticket_->wake();
  pace_.look(line_->behind(), *peer_);
}

// The rest comes before the connection ends.
void EnhancementSocket::stop() {
  if (std::exchange(stopping_, true)) {
    return;
  }
  {
    std::lock_guard lock(line_->mutex);
    line_->ended = true;
  }
  ticket_->wake();
}

void EnhancementSocket::finished(const std::optional<Error>& error) {
  if (!error) {
    send("session.done", {{"seconds", seconds_}});
    peer_->close(1000, "stopped");
    return;
  }
  ApiError failure(*error);
  fail(failure);
  peer_->close(failure.status() < 500 ? 1008 : 1011, "the session has failed");
}

void EnhancementSocket::send(const char* type, const Json& fields) {
  Json message = {{"type", type}};
  message.update(fields);
  peer_->send_text(dump(message));
}

void EnhancementSocket::fail(const ApiError& error) {
  send("error", Json::parse(error.event()));
}

} // namespace mlx_audio::server
