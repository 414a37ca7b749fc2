// POST /v1/audio/enhancements: a recording in, the same without noise out.
#include "server/collector.h"
#include "server/multipart.h"
#include "server/routes/routes.h"

#include <charconv>

namespace mlx_audio::server {

namespace {

struct EnhancementAsk {
  std::string model = "mossformer2";
  AudioEncoding encoding;
  EnhancementOptions options;
  std::shared_ptr<const std::string> body;
  std::span<const uint8_t> sound;
};

template <class T>
std::optional<T> number(const Multipart& form, const char* name) {
  auto value = form.text(name);
  if (!value) {
    return {};
  }
  T parsed = 0;
  auto end = value->data() + value->size();
  auto result = std::from_chars(value->data(), end, parsed);
  if (result.ec != std::errc() || result.ptr != end) {
    throw ApiError(
        400,
        std::string("'") + name + "' must be a number",
        name,
        "invalid_value");
  }
  return parsed;
}

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
  ask.options.mix = number<float>(form, "mix").value_or(0);
  if (!(ask.options.mix >= 0 && ask.options.mix <= 1)) {
    throw ApiError(400, "'mix' must be 0 to 1", "mix", "invalid_value");
  }
  ask.options.dither = number<float>(form, "dither").value_or(0);
  if (!(ask.options.dither >= 0 && ask.options.dither <= 16)) {
    throw ApiError(400, "'dither' must be 0 to 16", "dither", "invalid_value");
  }
  ask.options.seed = number<uint64_t>(form, "seed").value_or(0);
  if (auto rate = number<int>(form, "sample_rate")) {
    if (*rate != 0 && (*rate < 8000 || *rate > 192000)) {
      throw ApiError(
          400,
          "'sample_rate' must be 8000 to 192000, or 0 for the input's",
          "sample_rate",
          "invalid_value");
    }
    ask.options.sample_rate = *rate;
  }
  const Part* file = form.find("file");
  if (file == nullptr || !file->file_name || file->data.empty()) {
    throw ApiError(
        400,
        "'file' is missing: upload a recording",
        "file",
        "missing_required_parameter");
  }
  ask.sound = {
      reinterpret_cast<const uint8_t*>(file->data.data()), file->data.size()};
  try {
    AudioReader reader(ask.sound, {.max_seconds = max_seconds});
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::unsupported) {
      throw ApiError(415, error.what(), "file", "unsupported_media_type");
    }
    throw ApiError(error, "file");
  }
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
      throw ApiError(400, "'file' holds no sound", "file", "invalid_value");
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
  auto ticket = std::make_shared<std::shared_ptr<Ticket>>();
  *ticket = services.engine.enhance(
      ask.model,
      ask.body,
      ask.sound,
      ask.options,
      {.chunk =
           [x, answer](Audio&& audio) {
             auto kept = std::make_shared<Audio>(std::move(audio));
             x->post([answer, kept] { answer->chunk(*kept); });
           },
       .finished =
           [x, answer, ticket](const Error* error) {
             auto failure = error == nullptr ? std::optional<Error>()
                                             : std::optional(*error);
             x->post([answer, ticket, failure] {
               if (failure) {
                 throw ApiError(*failure);
               }
               answer->finished(**ticket);
             });
           }});
  x->on_close([ticket] { (*ticket)->cancel(); });
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
