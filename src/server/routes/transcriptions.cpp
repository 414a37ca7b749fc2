// POST /v1/audio/transcriptions and /v1/audio/translations
#include <cmath>
#include <cstdio>
#include <map>

#include "server/engine_work.h"
#include "server/logprobs.h"
#include "server/routes/routes.h"
#include "server/routes/transcription_request.h"
#include "server/sse.h"

namespace mlx_audio::server {

namespace {

constexpr double short_sound = 35; // seconds: one window
constexpr double long_sound = 300;

std::string strip(const std::string& text) {
  auto from = text.find_first_not_of(" \t\n");
  return from == std::string::npos
      ? ""
      : text.substr(from, text.find_last_not_of(" \t\n") - from + 1);
}

Json token_usage(const Transcription& t, double positions_per_second) {
  int64_t text = 0;
  for (const auto& segment : t.segments) {
    text += static_cast<int64_t>(segment.tokens.size());
  }
  auto sound =
      static_cast<int64_t>(std::ceil(t.duration * positions_per_second));
  return {
      {"type", "tokens"},
      {"input_tokens", sound},
      {"input_token_details", {{"text_tokens", 0}, {"audio_tokens", sound}}},
      {"output_tokens", text},
      {"total_tokens", sound + text}};
}

Json duration_usage(const Transcription& t) {
  return {{"type", "duration"}, {"seconds", std::ceil(t.duration)}};
}

// The result to the client, whole or segment by segment. Lives on the strand.
class TranscriptAnswer {
 public:
  TranscriptAnswer(ExchangePtr exchange, const TranscriptionAsk& ask)
      : exchange_(std::move(exchange)),
        shape_(ask.shape),
        stream_(ask.stream),
        words_(ask.words),
        logprobs_(ask.logprobs),
        segments_(ask.segments),
        positions_per_second_(ask.positions_per_second) {}

  void segment(
      const TranscriptionSegment& segment,
      const TranscriptionProgress& progress) {
    if (!stream_ && shape_ != TranscriptShape::ndjson) {
      return;
    }
    if (segment.text.empty()) {
      return;
    }
    if (stream_) {
      exchange_->begin(200, kEventStream);
      std::string text = said_ ? segment.text : lstrip(segment.text);
      Json delta = {{"type", "transcript.text.delta"}, {"delta", text}};
      if (logprobs_) {
        delta["logprobs"] = logprobs(segment.words);
      }
      if (shape_ == TranscriptShape::diarized_json) {
        Json whole = diarized(segment, next_segment_++);
        delta["segment_id"] = whole["id"];
        exchange_->write(event(delta));
        exchange_->write(event(whole));
      } else {
        exchange_->write(event(delta));
      }
    } else {
      exchange_->begin(200, "application/x-ndjson");
      exchange_->write(
          dump(
              {{"text", segment.text},
               {"start", segment.start},
               {"end", segment.end},
               {"is_final", true},
               {"language", progress.language}}) +
          "\n");
    }
    said_ = true;
  }

  void result(Transcription result) {
    exchange_->notes().audio_seconds = result.duration;
    result_ = std::move(result);
  }

  void finished(const Ticket& ticket) {
    auto times = ticket.times();
    exchange_->notes().compute_seconds = times.computed;
    exchange_->notes().queue_seconds = times.started - times.loading;
    if (stream_) {
      exchange_->begin(200, kEventStream);
      Json done = {
          {"type", "transcript.text.done"}, {"text", strip(result_.text)}};
      done["languages"] = languages();
      add_finish(done);
      add_logprobs(done);
      done["usage"] = token_usage(result_, positions_per_second_);
      exchange_->write(event(done));
      exchange_->end();
      return;
    }
    if (shape_ == TranscriptShape::ndjson) {
      exchange_->begin(200, "application/x-ndjson");
      exchange_->end();
      return;
    }
    exchange_->respond(body());
  }

 private:
  static std::string lstrip(const std::string& text) {
    return text.substr(std::min(text.find_first_not_of(' '), text.size()));
  }

  Json languages() const {
    Json list = Json::array();
    if (!result_.language.empty()) {
      list.push_back({{"code", result_.language}});
    }
    return list;
  }

  Response body() {
    switch (shape_) {
      case TranscriptShape::text:
        return {
            .type = "text/plain; charset=utf-8",
            .body = strip(result_.text) + "\n"};
      case TranscriptShape::srt:
        return {
            .type = "text/plain; charset=utf-8",
            .body = format_transcript(result_, TranscriptFormat::srt)};
      case TranscriptShape::vtt:
        return {
            .type = "text/vtt; charset=utf-8",
            .body = format_transcript(result_, TranscriptFormat::vtt)};
      case TranscriptShape::verbose_json:
        return {.body = verbose() + "\n"};
      case TranscriptShape::diarized_json:
        return {.body = dump(diarized_whole()) + "\n"};
      default:
        return {.body = dump(json()) + "\n"};
    }
  }

  // Counted speakers are A, B, ... in the order in which they come; names stay.
  std::string speaker(const std::string& said) {
    bool counted = said.find_first_not_of("0123456789") == std::string::npos;
    if (!counted) {
      return said;
    }
    auto [found, fresh] = speakers_.try_emplace(said, speakers_.size());
    std::string name;
    for (size_t n = found->second + 1; n > 0; n = (n - 1) / 26) {
      name.insert(name.begin(), static_cast<char>('A' + (n - 1) % 26));
    }
    return name;
  }

  Json diarized(const TranscriptionSegment& segment, int number) {
    char id[32];
    std::snprintf(id, sizeof(id), "seg_%03d", number);
    return {
        {"type", "transcript.text.segment"},
        {"id", id},
        {"start", segment.start},
        {"end", segment.end},
        {"text", strip(segment.text)},
        {"speaker", speaker(segment.speaker)}};
  }

  Json diarized_whole() {
    Json segments = Json::array();
    for (const auto& segment : result_.segments) {
      if (!strip(segment.text).empty()) {
        segments.push_back(diarized(segment, next_segment_++));
      }
    }
    Json root = {
        {"task", "transcribe"},
        {"duration", result_.duration},
        {"text", strip(result_.text)},
        {"segments", std::move(segments)},
        {"usage", duration_usage(result_)}};
    add_finish(root);
    return root;
  }

  void add_finish(Json& root) const {
    if (result_.truncated) {
      root["finish_reason"] = "length";
    }
  }

  Json json() const {
    Json root = {{"text", strip(result_.text)}, {"languages", languages()}};
    add_logprobs(root);
    add_finish(root);
    root["usage"] = duration_usage(result_);
    return root;
  }

  void add_logprobs(Json& root) const {
    if (!logprobs_) {
      return;
    }
    std::vector<TranscribedWord> words;
    for (const auto& segment : result_.segments) {
      words.insert(words.end(), segment.words.begin(), segment.words.end());
    }
    root["logprobs"] = logprobs(words);
  }

  std::string verbose() const {
    Json root =
        Json::parse(format_transcript(result_, TranscriptFormat::verbose_json));
    if (result_.task == TranscriptionTask::translate) {
      root["language"] = "english";
    }
    if (!segments_) {
      root.erase("segments");
    }
    if (!words_) {
      root.erase("words");
    }
    root["usage"] = duration_usage(result_);
    return dump(root);
  }

  ExchangePtr exchange_;
  TranscriptShape shape_;
  bool stream_;
  bool words_;
  bool logprobs_;
  bool segments_;
  double positions_per_second_;
  bool said_ = false;
  int next_segment_ = 1;
  std::map<std::string, size_t> speakers_; // in the order in which they came
  Transcription result_;
};

void transcribe(
    const ExchangePtr& x,
    const Services& services,
    TranscriptionTask task) {
  auto ask = parse_transcription(x->request(), services, task);
  x->notes().model = services.engine.model(ask.model).id;
  auto priority = ask.seconds > long_sound            ? Priority::batch
      : ask.seconds > 0 && ask.seconds <= short_sound ? Priority::interactive
                                                      : Priority::normal;
  auto answer = std::make_shared<TranscriptAnswer>(x, ask);
  TranscriptionRequest request;
  request.bytes = ask.sound;
  request.reading.max_seconds = services.options.max_audio_seconds;
  request.options = ask.options;
  TranscriptionCallbacks callbacks;
  callbacks.segment = [x, answer](
                          TranscriptionSegment&& segment,
                          const TranscriptionProgress& progress) {
    x->post([answer, segment = std::move(segment), progress] {
      answer->segment(segment, progress);
    });
  };
  callbacks.result = [x, answer](Transcription&& result) {
    auto kept = std::make_shared<Transcription>(std::move(result));
    x->post([answer, kept] { answer->result(std::move(*kept)); });
  };
  engine_work(
      x,
      [&](auto finished) {
        callbacks.finished = std::move(finished);
        return services.engine.transcribe(
            ask.model,
            ask.body,
            std::move(request),
            std::move(callbacks),
            priority);
      },
      [answer](const Ticket& ticket) { answer->finished(ticket); });
}

} // namespace

void add_transcription_routes(Router& router, Services& s) {
  router.add(
      {.method = "POST",
       .pattern = "/v1/audio/transcriptions",
       .handler =
           [&s](const ExchangePtr& x) {
             transcribe(x, s, TranscriptionTask::transcribe);
           },
       .max_body = s.options.max_upload});
  router.add(
      {.method = "POST",
       .pattern = "/v1/audio/translations",
       .handler =
           [&s](const ExchangePtr& x) {
             transcribe(x, s, TranscriptionTask::translate);
           },
       .max_body = s.options.max_upload});
}

} // namespace mlx_audio::server
