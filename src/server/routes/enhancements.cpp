// POST /v1/audio/enhancements: a recording in, the same without noise out.
#include "server/collector.h"
#include "server/engine_work.h"
#include "server/multipart.h"
#include "server/recording.h"
#include "server/routes/routes.h"

namespace mlx_audio::server {

namespace {

struct EnhancementAsk {
  std::string model = "mossformer2";
  AudioEncoding encoding;
  EnhancementOptions options;
  std::shared_ptr<const std::string> body;
  std::span<const uint8_t> sound;
};

EnhancementAsk parse(Request& request, double max_seconds) {
  EnhancementAsk ask;
  auto body = std::make_shared<const std::string>(std::move(request.body));
  ask.body = body;
  Multipart form(request.header("content-type"), *body);
  ask.model = form.text("model").value_or(ask.model);
  try {
    if (auto format = form.text("response_format")) {
      ask.encoding.format = parse_audio_format(*format);
    }
  } catch (const Error& error) {
    throw ApiError(error, "response_format");
  }
  auto& options = ask.options;
  options.mix = static_cast<float>(form.number("mix", 0, 1).value_or(0));
  options.dither = static_cast<float>(form.number("dither", 0, 16).value_or(0));
  options.seed = static_cast<uint64_t>(
      form.integer("seed", 0, std::numeric_limits<int64_t>::max()).value_or(0));
  options.sample_rate =
      static_cast<int>(form.integer("sample_rate", 0, 192000).value_or(0));
  if (options.sample_rate > 0 && options.sample_rate < 8000) {
    invalid_value(
        "sample_rate", "must be 8000 to 192000, or 0 for the input's");
  }
  ask.sound = form.file("file", "a recording");
  check_recording(ask.sound, max_seconds);
  return ask;
}

class EnhancementAnswer {
 public:
  EnhancementAnswer(ExchangePtr exchange, const AudioEncoding& encoding)
      : exchange_(std::move(exchange)), encoding_(encoding) {}

  void chunk(const Audio& audio) {
    if (!writer_) {
      writer_.emplace(
          collector(bytes_), encoding_, audio.sample_rate, audio.channels);
      exchange_->begin(
          200,
          media_type(encoding_.format),
          {{"x-sample-rate", std::to_string(audio.sample_rate)},
           {"x-channels", std::to_string(audio.channels)}});
    }
    exchange_->notes().audio_seconds += audio.seconds();
    writer_->write(audio.samples);
    writer_->flush();
    send();
  }

  void finished(const Ticket& ticket) {
    exchange_->notes().compute_seconds = ticket.times().computed;
    if (!writer_) {
      invalid_value("file", "holds no sound");
    }
    writer_->finish();
    send();
    exchange_->end();
  }

 private:
  void send() {
    exchange_->write(std::string(bytes_.begin(), bytes_.end()));
    bytes_.clear();
  }

  ExchangePtr exchange_;
  AudioEncoding encoding_;
  std::vector<uint8_t> bytes_;
  std::optional<AudioWriter> writer_;
};

void enhance(const ExchangePtr& x, const Services& services) {
  auto ask = parse(x->request(), services.options.max_audio_seconds);
  x->notes().model = services.engine.model(ask.model).id;
  auto answer = std::make_shared<EnhancementAnswer>(x, ask.encoding);
  auto chunk = [x, answer](Audio&& audio) {
    auto kept = std::make_shared<Audio>(std::move(audio));
    x->post([answer, kept] { answer->chunk(*kept); });
  };
  engine_work(
      x,
      [&](auto finished) {
        return services.engine.enhance(
            ask.model,
            ask.body,
            ask.sound,
            ask.options,
            {.chunk = chunk, .finished = std::move(finished)});
      },
      [answer](const Ticket& ticket) { answer->finished(ticket); });
}

} // namespace

void add_enhancement_routes(Router& router, Services& s) {
  router.add(
      {.method = "POST",
       .pattern = "/v1/audio/enhancements",
       .handler = [&s](const ExchangePtr& x) { enhance(x, s); },
       .max_body = s.options.max_upload});
}

} // namespace mlx_audio::server
