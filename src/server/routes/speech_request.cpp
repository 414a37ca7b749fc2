#include "server/routes/speech_request.h"

#include <algorithm>

#include "server/base64.h"
#include "server/json.h"
#include "server/multipart.h"
#include "server/names.h"
#include "server/voice_shelf.h"

namespace mlx_audio::server {

namespace {

constexpr size_t max_name = 300; // bytes of an id
constexpr size_t max_reference = 8 << 20; // bytes of a recording
constexpr double max_reference_seconds = 60;

// A form's fields as the JSON that they would be.
Json form_fields(const Multipart& form) {
  static const char* const texts[] = {
      "model",
      "input",
      "voice",
      "instructions",
      "instruct",
      "response_format",
      "stream_format",
      "language",
      "lang_code",
      "ref_text",
      "sample_format",
      "ref_audio"};
  Json object = Json::object();
  for (const auto& part : form.parts()) {
    if (part.file_name) {
      continue;
    }
    std::string value(part.data);
    bool text =
        std::any_of(std::begin(texts), std::end(texts), [&](const char* name) {
          return part.name == name;
        });
    Json parsed = text ? Json() : Json::parse(value, nullptr, false);
    object[part.name] =
        parsed.is_number() || parsed.is_boolean() ? parsed : Json(value);
  }
  return object;
}

template <class T>
T required(const std::optional<T>& value, const char* name) {
  if (!value) {
    missing_field(name);
  }
  return *value;
}

std::optional<std::string> voice_name(const Fields& fields) {
  const Json* voice = fields.find("voice");
  if (voice == nullptr || !voice->is_object()) {
    return fields.text("voice", max_name);
  }
  auto id = Fields(*voice).text("id", max_name);
  if (!id) {
    invalid_value("voice", "has no 'id'");
  }
  return id;
}

VoiceReference reference(std::span<const uint8_t> bytes) {
  try {
    return {
        .audio = decode_audio(bytes, {.max_seconds = max_reference_seconds})};
  } catch (const Error& error) {
    throw ApiError(error, "ref_audio");
  }
}

SpeechSampling sampling(const Fields& fields) {
  SpeechSampling s;
  auto number = [&](const char* name, double low, double high) {
    auto value = fields.number(name, low, high);
    return value ? std::optional(static_cast<float>(*value)) : std::nullopt;
  };
  auto integer = [&](const char* name, int64_t low, int64_t high) {
    auto value = fields.integer(name, low, high);
    return value ? std::optional(static_cast<int>(*value)) : std::nullopt;
  };
  s.temperature = number("temperature", 0, 10);
  s.top_k = integer("top_k", 0, 1 << 24);
  s.top_p = number("top_p", 0, 1);
  s.min_p = number("min_p", 0, 1);
  s.repetition_penalty = number("repetition_penalty", 0.1, 10);
  s.max_tokens = integer("max_tokens", 1, 1 << 24);
  return s;
}

void read_output(const Fields& fields, SpeechAsk& ask) {
  auto one_of = [&](const char* name, auto parse, auto& target) {
    if (auto value = fields.text(name, 32)) {
      try {
        target = parse(*value);
      } catch (const Error& error) {
        throw ApiError(error, name);
      }
    }
  };
  one_of("response_format", parse_audio_format, ask.encoding.format);
  one_of("sample_format", parse_sample_format, ask.encoding.sample_format);
  if (auto value = fields.text("stream_format", 32)) {
    if (*value != "audio" && *value != "sse") {
      invalid_value("stream_format", "must be 'audio' or 'sse'");
    }
    ask.events = *value == "sse";
  }
  auto stream = fields.boolean("stream");
  ask.whole = stream && !*stream && !ask.events;
  ask.timestamps = fields.boolean("timestamps").value_or(false);
  // Heard as soon as it can be; the engine's chunks decide the interval.
  fields.number("streaming_interval", 0, 60);
}

// The model's voice, an uploaded one, or the recording in the request.
void read_voice(
    const Fields& fields,
    const Multipart* form,
    const Services& services,
    SpeechRequest& request) {
  request.voice = voice_name(fields).value_or("");
  auto ref_text = fields.text("ref_text", 16384);
  const Part* file = form == nullptr ? nullptr : form->find("ref_audio");
  if (file != nullptr && file->file_name) {
    request.reference = reference(
        {reinterpret_cast<const uint8_t*>(file->data.data()),
         file->data.size()});
  } else if (auto text = fields.text("ref_audio", max_reference * 2)) {
    request.reference = reference(from_base64(*text, "ref_audio"));
  } else if (auto uploaded = services.voices.find(request.voice)) {
    request.reference = uploaded->reference;
    request.voice.clear();
  }
  if (ref_text && !request.reference) {
    invalid_value(
        "ref_text", "needs 'ref_audio', a recording in which it is said");
  }
  if (ref_text) {
    request.reference->text = *ref_text;
  }
  if (request.reference) {
    request.reference->x_vector_only =
        fields.boolean("x_vector_only")
            .value_or(request.reference->x_vector_only);
  }
}

} // namespace

size_t characters(const std::string& text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

SpeechAsk parse_speech(const Request& http, const Services& services) {
  std::optional<Multipart> form;
  std::string type = http.header("content-type");
  bool is_form = type.rfind("multipart/", 0) == 0;
  bool is_json = type.empty() || type.rfind("application/json", 0) == 0;
  if (!is_form && !is_json) {
    throw ApiError(
        415,
        "send the request as application/json, not as '" + type.substr(0, 100) +
            "'");
  }
  if (is_form) {
    form.emplace(type, http.body);
  }
  Json body = form ? form_fields(*form) : parse_object(http.body);
  Fields fields(body);
  SpeechAsk ask;
  ask.model = speech_model(
      required(fields.text("model", max_name), "model"), services.options);
  SpeechRequest& request = ask.request;
  size_t most = services.options.max_text;
  request.text = required(fields.text("input", most * 4), "input");
  if (characters(request.text) > most) {
    throw ApiError(
        400,
        "'input' has " + std::to_string(characters(request.text)) +
            " characters; at most " + std::to_string(most) + " are taken",
        "input",
        "string_above_max_length");
  }
  for (const char* name : {"instruct", "instructions"}) {
    if (auto text = fields.text(name, most * 4)) {
      request.instruct = *text;
    }
  }
  for (const char* name : {"lang_code", "language"}) {
    if (auto text = fields.text(name, 64)) {
      request.language = *text == "auto" ? "" : *text;
    }
  }
  request.speed = static_cast<float>(
      fields.number("speed", min_speed, max_speed).value_or(1));
  if (auto seed = fields.integer("seed", 0, INT64_MAX)) {
    request.seed = static_cast<uint64_t>(*seed);
  }
  request.sampling = sampling(fields);
  read_voice(fields, form ? &*form : nullptr, services, request);
  read_output(fields, ask);
  request.low_latency = !ask.whole;
  return ask;
}

} // namespace mlx_audio::server
