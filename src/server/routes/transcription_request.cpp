#include "server/routes/transcription_request.h"

#include <algorithm>

#include "server/json.h"
#include "server/multipart.h"
#include "server/names.h"
#include "server/recording.h"

namespace mlx_audio::server {

namespace {

constexpr size_t max_keywords = 200;

TranscriptShape shape(const std::string& name, bool translation) {
  static const std::pair<const char*, TranscriptShape> known[] = {
      {"json", TranscriptShape::json},
      {"text", TranscriptShape::text},
      {"srt", TranscriptShape::srt},
      {"vtt", TranscriptShape::vtt},
      {"verbose_json", TranscriptShape::verbose_json},
      {"diarized_json", TranscriptShape::diarized_json},
      {"ndjson", TranscriptShape::ndjson}};
  for (const auto& [text, value] : known) {
    bool own_words = value == TranscriptShape::ndjson ||
        value == TranscriptShape::diarized_json;
    if (name == text && !(translation && own_words)) {
      return value;
    }
  }
  invalid_value(
      "response_format",
      translation ? "must be json, text, srt, verbose_json or vtt"
                  : "must be json, text, srt, verbose_json, vtt, diarized_json "
                    "or ndjson");
}

// "auto", or {type: server_vad, ...} as JSON or as chunking_strategy[...].
void read_chunking(const Multipart& form, TranscriptionOptions& options) {
  auto text = form.text("chunking_strategy");
  Json object = Json::object();
  for (const char* name :
       {"type", "threshold", "prefix_padding_ms", "silence_duration_ms"}) {
    auto field = "chunking_strategy[" + std::string(name) + "]";
    if (auto value = form.text(field, 64)) {
      Json parsed = Json::parse(*value, nullptr, false);
      object[name] = parsed.is_number() ? parsed : Json(*value);
    }
  }
  if (text && *text == "null") {
    return;
  }
  if (text && *text != "auto") {
    object = Json::parse(*text, nullptr, false);
    if (!object.is_object()) {
      invalid_value(
          "chunking_strategy", "must be 'auto' or an object of server_vad");
    }
  }
  if (!text && object.empty()) {
    return;
  }
  options.vad = true;
  options.batch_size = 2; // a step must not keep others waiting for long
  if (text && *text == "auto") {
    return;
  }
  try {
    Fields fields(object);
    auto type = fields.text("type", 32);
    if (!type || *type != "server_vad") {
      invalid_value("chunking_strategy", "has no type but 'server_vad'");
    }
    auto& vad = options.vad_options;
    vad.threshold = fields.number("threshold", 0, 1).value_or(0.5);
    vad.padding =
        fields.number("prefix_padding_ms", 0, 10000).value_or(300) / 1000;
    vad.min_silence =
        fields.number("silence_duration_ms", 0, 10000).value_or(200) / 1000;
  } catch (const ApiError& error) {
    throw ApiError(
        400,
        std::string("chunking_strategy: ") + error.what(),
        "chunking_strategy",
        "invalid_value");
  }
}

void read_keywords(const Multipart& form, TranscriptionOptions& options) {
  auto words = form.list("keywords");
  if (words.size() > max_keywords) {
    invalid_value("keywords", "has more than " + std::to_string(max_keywords));
  }
  for (const auto& word : words) {
    if (word.size() > 200 || word.find('\0') != std::string::npos) {
      invalid_value("keywords", "must be short words or phrases");
    }
    options.hotwords += (options.hotwords.empty() ? "" : ", ") + word;
  }
}

void read_result(const Multipart& form, TranscriptionAsk& ask) {
  for (const auto& value : form.list("include")) {
    if (value != "logprobs") {
      invalid_value("include", "knows only 'logprobs'");
    }
    ask.logprobs = true;
  }
  if (ask.logprobs && ask.shape != TranscriptShape::json) {
    invalid_value("include", "works with response_format json only");
  }
  auto granularities = form.list("timestamp_granularities");
  if (auto words = form.boolean("word_timestamps"); words && *words) {
    ask.words = true;
  }
  if (granularities.empty()) {
    return;
  }
  if (ask.shape != TranscriptShape::verbose_json) {
    invalid_value(
        "timestamp_granularities", "needs response_format verbose_json");
  }
  ask.segments = false;
  for (const auto& value : granularities) {
    if (value != "word" && value != "segment") {
      invalid_value("timestamp_granularities", "must be 'word' or 'segment'");
    }
    ask.words = ask.words || value == "word";
    ask.segments = ask.segments || value == "segment";
  }
}

void refuse_speakers(const Multipart& form) {
  for (const char* name : {"known_speaker_names", "known_speaker_references"}) {
    if (!form.list(name).empty()) {
      invalid_value(
          name,
          "needs a model that knows speakers by their voices, and none is "
          "built in yet");
    }
  }
}

// What depends on the model that will hear it.
void check_model(const Services& services, TranscriptionAsk& ask) {
  auto model = services.engine.model(ask.model);
  const auto& features = model.features;
  bool speakers =
      std::find(features.begin(), features.end(), "speakers") != features.end();
  if (ask.shape == TranscriptShape::diarized_json && !speakers) {
    invalid_value(
        "response_format",
        "'diarized_json' needs a model that tells speakers apart, such as "
        "VibeVoice-ASR");
  }
  if (model.architecture == "vibevoice_asr") {
    ask.positions_per_second = 7.5;
  }
}

} // namespace

TranscriptionAsk parse_transcription(
    Request& request,
    const Services& services,
    TranscriptionTask task) {
  bool translation = task == TranscriptionTask::translate;
  TranscriptionAsk ask;
  auto body = std::make_shared<const std::string>(std::move(request.body));
  ask.body = body;
  Multipart form(request.header("content-type"), *body);
  auto model = form.text("model", 300);
  if (!model) {
    missing_field("model");
  }
  ask.model = transcription_model(*model, services.options);
  auto& options = ask.options;
  options.task = task;
  if (auto format = form.text("response_format", 32)) {
    ask.shape = shape(*format, translation);
  }
  options.initial_prompt = form.text("prompt").value_or("");
  if (auto context = form.text("context")) {
    options.initial_prompt = *context; // mlx-audio's name
  }
  if (auto temperature = form.number("temperature", 0, 1);
      temperature && *temperature > 0) {
    options.temperatures = {*temperature};
  }
  if (!translation) {
    options.language = form.text("language", 32).value_or("");
    options.language = options.language == "auto" ? "" : options.language;
    options.languages = form.list("languages");
    ask.stream = form.boolean("stream").value_or(false);
    read_keywords(form, options);
    read_chunking(form, options);
    refuse_speakers(form);
    read_result(form, ask);
  }
  options.word_timestamps = ask.words || ask.logprobs;
  check_model(services, ask);
  ask.sound = form.file("file", "a recording");
  ask.seconds = check_recording(ask.sound, services.options.max_audio_seconds);
  return ask;
}

} // namespace mlx_audio::server
