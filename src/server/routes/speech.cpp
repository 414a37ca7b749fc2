// POST /v1/audio/speech
#include <cmath>

#include "server/base64.h"
#include "server/collector.h"
#include "server/engine_work.h"
#include "server/names.h"
#include "server/reference_text.h"
#include "server/routes/routes.h"
#include "server/routes/speech_request.h"
#include "server/sse.h"

namespace mlx_audio::server {

namespace {

constexpr size_t short_text = 300; // characters that a person waits for
constexpr double seconds_per_token = 0.08; // one frame of 12.5 Hz

// Sound to the client as it is made, in one container. Lives on the strand.
class SpeechAnswer {
 public:
  SpeechAnswer(ExchangePtr exchange, SpeechAsk ask)
      : exchange_(std::move(exchange)), ask_(std::move(ask)) {
    input_tokens_ = characters(ask_.request.text);
    ask_.request = {}; // the engine has it
  }

  void chunk(const SpeechChunk& chunk) {
    sample_rate_ = chunk.sample_rate;
    samples_ += chunk.samples.size();
    exchange_->notes().audio_seconds =
        static_cast<double>(samples_) / sample_rate_;
    if (ask_.whole) {
      all_.insert(all_.end(), chunk.samples.begin(), chunk.samples.end());
      return;
    }
    open();
    writer_->write(chunk.samples);
    writer_->flush();
    send(chunk.words);
  }

  void finished(const Ticket& ticket) {
    auto times = ticket.times();
    exchange_->notes().compute_seconds = times.computed;
    exchange_->notes().queue_seconds = times.started - times.loading;
    if (ask_.whole) {
      auto bytes =
          encode_audio({std::move(all_), sample_rate_, 1}, ask_.encoding);
      exchange_->respond(
          {.type = media_type(ask_.encoding.format),
           .body = std::string(bytes.begin(), bytes.end()),
           .headers = headers()});
      return;
    }
    open(); // nothing to say is an empty sound
    writer_->finish();
    send({});
    if (ask_.events) {
      int64_t output =
          std::lround(exchange_->notes().audio_seconds / seconds_per_token);
      exchange_->write(event(
          {{"type", "speech.audio.done"},
           {"usage",
            {{"input_tokens", input_tokens_},
             {"output_tokens", output},
             {"total_tokens", static_cast<int64_t>(input_tokens_) + output}}},
           {"sample_rate", sample_rate_}}));
    }
    exchange_->end();
  }

 private:
  Headers headers() const {
    return {{"x-sample-rate", std::to_string(sample_rate_)}};
  }

  void open() {
    if (writer_) {
      return;
    }
    writer_.emplace(
        collector(bytes_), ask_.encoding, std::max(sample_rate_, 8000), 1);
    exchange_->begin(
        200,
        ask_.events ? kEventStream : media_type(ask_.encoding.format),
        headers());
  }

  void send(const std::vector<WordTime>& words) {
    if (bytes_.empty() && words.empty()) {
      return;
    }
    if (!ask_.events) {
      exchange_->write(std::string(bytes_.begin(), bytes_.end()));
      bytes_.clear();
      return;
    }
    Json delta = {{"type", "speech.audio.delta"}, {"audio", to_base64(bytes_)}};
    bytes_.clear();
    if (ask_.timestamps) {
      Json list = Json::array();
      for (const auto& word : words) {
        list.push_back(
            {{"text", word.text}, {"start", word.start}, {"end", word.end}});
      }
      delta["words"] = std::move(list);
    }
    exchange_->write(event(delta));
  }

  ExchangePtr exchange_;
  SpeechAsk ask_;
  size_t input_tokens_ = 0;
  int sample_rate_ = 24000;
  size_t samples_ = 0;
  std::vector<float> all_;
  std::vector<uint8_t> bytes_; // what the writer has given since the last send
  std::optional<AudioWriter> writer_;
};

void speech(const ExchangePtr& x, const Services& services) {
  SpeechAsk ask = parse_speech(x->request(), services);
  x->request().body = {};
  x->notes().model = services.engine.model(ask.model).id;
  auto request = std::make_shared<SpeechRequest>(ask.request);
  auto priority = characters(request->text) <= short_text
      ? Priority::interactive
      : Priority::normal;
  std::string model = ask.model;
  auto answer = std::make_shared<SpeechAnswer>(x, std::move(ask));
  auto start = [x, request, answer](LoadedModel* loaded) {
    request->voice = model_voice(request->voice, loaded->speech->voices());
    auto hand_on = [x, answer](SpeechChunk&& chunk) {
      auto kept = std::make_shared<SpeechChunk>(std::move(chunk));
      x->post([answer, kept] { answer->chunk(*kept); });
    };
    return speech_job(*loaded->speech, *request, hand_on);
  };
  auto speak = [x, model, priority, start, answer, &engine = services.engine] {
    engine_work(
        x,
        [&](auto finished) {
          return engine.submit(
              {.model = model,
               .task = ModelTask::speech,
               .priority = priority,
               .start = start,
               .finished = std::move(finished)});
        },
        [answer](const Ticket& ticket) { answer->finished(ticket); });
  };
  if (request->reference) {
    hear_reference(x, services, {request, &*request->reference}, speak);
  } else {
    speak();
  }
}

} // namespace

void add_speech_routes(Router& router, Services& s) {
  router.add(
      {.method = "POST",
       .pattern = "/v1/audio/speech",
       .handler = [&s](const ExchangePtr& x) { speech(x, s); },
       .max_body = s.options.max_json});
}

} // namespace mlx_audio::server
