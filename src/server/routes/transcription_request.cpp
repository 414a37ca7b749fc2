#include "server/routes/transcription_request.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "server/json.h"
#include "server/multipart.h"
#include "server/names.h"

namespace mlx_audio::server {

namespace {

constexpr size_t max_text_field = 16 << 10; // bytes
constexpr size_t max_keywords = 200;

[[noreturn]] void wrong(const std::string& field, const std::string& what) {
  throw ApiError(400, "'" + field + "' " + what, field, "invalid_value");
}

std::optional<std::string> short_text(
    const Multipart& form,
    const char* name,
    size_t most = max_text_field) {
  auto value = form.text(name);
  if (value && value->size() > most) {
    throw ApiError(
        400,
        std::string("'") + name + "' is longer than " + std::to_string(most) +
            " bytes",
        name,
        "string_above_max_length");
  }
  return value;
}

std::optional<bool> boolean(const Multipart& form, const char* name) {
  auto value = short_text(form, name, 16);
  if (!value || *value == "null") {
    return {};
  }
  if (*value == "true" || *value == "True" || *value == "1") {
    return true;
  }
  if (*value == "false" || *value == "False" || *value == "0") {
    return false;
  }
  wrong(name, "must be true or false");
}

std::optional<double>
number(const Multipart& form, const char* name, double low, double high) {
  auto value = short_text(form, name, 64);
  if (!value) {
    return {};
  }
  double parsed = 0;
  auto end = value->data() + value->size();
  auto result = std::from_chars(value->data(), end, parsed);
  if (result.ec != std::errc() || result.ptr != end || !(parsed >= low) ||
      !(parsed <= high)) {
    wrong(
        name,
        "must be a number, " + Json(low).dump() + " to " + Json(high).dump());
  }
  return parsed;
}

TranscriptShape shape(const std::string& name, bool translation) {
  static const std::pair<const char*, TranscriptShape> known[] = {
      {"json", TranscriptShape::json},
      {"text", TranscriptShape::text},
      {"srt", TranscriptShape::srt},
      {"vtt", TranscriptShape::vtt},
      {"verbose_json", TranscriptShape::verbose_json},
      {"ndjson", TranscriptShape::ndjson}};
  for (const auto& [text, value] : known) {
    if (name == text && !(translation && value == TranscriptShape::ndjson)) {
      return value;
    }
  }
  if (name == "diarized_json" && !translation) {
    wrong(
        "response_format",
        "'diarized_json' needs a model that tells speakers apart, and none is "
        "built in yet");
  }
  wrong(
      "response_format",
      translation ? "must be json, text, srt, verbose_json or vtt"
                  : "must be json, text, srt, verbose_json, vtt or ndjson");
}

// "auto", or {type: server_vad, ...} as JSON or as chunking_strategy[...].
void read_chunking(const Multipart& form, TranscriptionOptions& options) {
  auto text = short_text(form, "chunking_strategy");
  Json object = Json::object();
  for (const char* name :
       {"type", "threshold", "prefix_padding_ms", "silence_duration_ms"}) {
    auto field = "chunking_strategy[" + std::string(name) + "]";
    if (auto value = short_text(form, field.c_str(), 64)) {
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
      wrong("chunking_strategy", "must be 'auto' or an object of server_vad");
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
      wrong("chunking_strategy", "has no type but 'server_vad'");
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
    wrong("keywords", "has more than " + std::to_string(max_keywords));
  }
  for (const auto& word : words) {
    if (word.size() > 200 || word.find('\0') != std::string::npos) {
      wrong("keywords", "must be short words or phrases");
    }
    options.hotwords += (options.hotwords.empty() ? "" : ", ") + word;
  }
}

void read_result(const Multipart& form, TranscriptionAsk& ask) {
  for (const auto& value : form.list("include")) {
    if (value != "logprobs") {
      wrong("include", "knows only 'logprobs'");
    }
    ask.logprobs = true;
  }
  if (ask.logprobs && ask.shape != TranscriptShape::json) {
    wrong("include", "works with response_format json only");
  }
  auto granularities = form.list("timestamp_granularities");
  if (auto words = boolean(form, "word_timestamps"); words && *words) {
    ask.words = true;
  }
  if (granularities.empty()) {
    return;
  }
  if (ask.shape != TranscriptShape::verbose_json) {
    wrong("timestamp_granularities", "needs response_format verbose_json");
  }
  ask.segments = false;
  for (const auto& value : granularities) {
    if (value != "word" && value != "segment") {
      wrong("timestamp_granularities", "must be 'word' or 'segment'");
    }
    ask.words = ask.words || value == "word";
    ask.segments = ask.segments || value == "segment";
  }
}

void refuse_speakers(const Multipart& form) {
  for (const char* name : {"known_speaker_names", "known_speaker_references"}) {
    if (!form.list(name).empty()) {
      wrong(
          name,
          "needs a model that tells speakers apart, and none is built in yet");
    }
  }
}

// Opens the recording, so that what is none is refused at once.
void look_at_sound(const Multipart& form, TranscriptionAsk& ask, double most) {
  const Part* file = form.find("file");
  if (file == nullptr) {
    throw ApiError(
        400, "'file' is missing", "file", "missing_required_parameter");
  }
  if (!file->file_name) {
    wrong("file", "must be an uploaded file, not text");
  }
  if (file->data.empty()) {
    wrong("file", "is empty");
  }
  ask.sound = {
      reinterpret_cast<const uint8_t*>(file->data.data()), file->data.size()};
  try {
    AudioReader reader(ask.sound, {.max_seconds = most});
    const auto& info = reader.info();
    if (info.frames && info.sample_rate > 0) {
      ask.seconds = static_cast<double>(*info.frames) / info.sample_rate;
    }
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::unsupported) {
      throw ApiError(
          415,
          std::string("'file' is no sound that can be read: ") + error.what(),
          "file",
          "unsupported_media_type");
    }
    throw ApiError(error, "file");
  }
  if (ask.seconds > most) {
    throw ApiError(
        413,
        "the recording is longer than " + std::to_string(most) + " seconds",
        "file",
        "too_large");
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
  auto model = short_text(form, "model", 300);
  if (!model) {
    throw ApiError(
        400, "'model' is missing", "model", "missing_required_parameter");
  }
  ask.model = transcription_model(*model, services.options);
  auto& options = ask.options;
  options.task = task;
  if (auto format = short_text(form, "response_format", 32)) {
    ask.shape = shape(*format, translation);
  }
  options.initial_prompt = short_text(form, "prompt").value_or("");
  if (auto context = short_text(form, "context")) {
    options.initial_prompt = *context; // mlx-audio's name
  }
  if (auto temperature = number(form, "temperature", 0, 1);
      temperature && *temperature > 0) {
    options.temperatures = {*temperature};
  }
  if (!translation) {
    options.language = short_text(form, "language", 32).value_or("");
    options.language = options.language == "auto" ? "" : options.language;
    auto languages = form.list("languages");
    if (languages.size() == 1 && options.language.empty()) {
      options.language = languages[0];
    }
    ask.stream = boolean(form, "stream").value_or(false);
    read_keywords(form, options);
    read_chunking(form, options);
    refuse_speakers(form);
    read_result(form, ask);
  }
  options.word_timestamps = ask.words || ask.logprobs;
  look_at_sound(form, ask, services.options.max_audio_seconds);
  return ask;
}

} // namespace mlx_audio::server
