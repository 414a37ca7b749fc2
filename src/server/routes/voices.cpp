// /v1/audio/voices: the model's own, and recordings that clients upload.
#include "server/routes/routes.h"

#include "server/engine_work.h"
#include "server/json.h"
#include "server/multipart.h"
#include "server/names.h"
#include "server/reference_text.h"
#include "server/voice_shelf.h"

namespace mlx_audio::server {

namespace {

constexpr size_t max_sample = 10 << 20; // bytes, OpenAI's limit

Json describe(const VoiceInfo& voice, const std::string& model) {
  return {
      {"id", voice.id},
      {"object", "audio.voice"},
      {"name", voice.id},
      {"model", model},
      {"language", voice.language},
      {"gender", voice.gender},
      {"uploaded", false}};
}

Json describe(const UploadedVoice& voice) {
  return {
      {"id", voice.id},
      {"object", "audio.voice"},
      {"name", voice.name},
      {"created_at", voice.created},
      {"model", nullptr},
      {"language", ""},
      {"gender", ""},
      {"uploaded", true}};
}

void list_voices(const ExchangePtr& x, const Services& services) {
  std::string model = speech_model(
      x->request().parameter("model").value_or(services.options.speech_model),
      services.options);
  auto info = services.engine.model(model);
  auto voices = std::make_shared<Json>(Json::array());
  auto start = [voices, id = info.id](LoadedModel* loaded) {
    for (const auto& voice : loaded->speech->voices()) {
      voices->push_back(describe(voice, id));
    }
    return nullptr;
  };
  engine_work(
      x,
      [&](auto finished) {
        return services.engine.submit(
            {.model = model,
             .task = ModelTask::speech,
             .priority = Priority::interactive,
             .start = start,
             .finished = std::move(finished)});
      },
      [x, voices, &services](const Ticket&) {
        for (const auto& voice : services.voices.list()) {
          voices->push_back(describe(voice));
        }
        Json list = {{"object", "list"}, {"data", *voices}};
        list["voices"] = *voices; // as mlx-audio names them
        x->respond({.body = dump(list) + "\n"});
      },
      "model");
}

void upload_voice(const ExchangePtr& x, const Services& services) {
  const auto& request = x->request();
  Multipart form(request.header("content-type"), request.body);
  UploadedVoice voice;
  voice.name = form.text("name", 100).value_or("");
  if (voice.name.empty()) {
    missing_field("name");
  }
  auto sample = form.file("audio_sample", "a recording of the voice");
  if (sample.size() > max_sample) {
    throw ApiError(413, "'audio_sample' is larger than 10 MiB", "audio_sample");
  }
  try {
    voice.reference.audio = decode_audio(sample, {.max_seconds = 60});
  } catch (const Error& error) {
    throw ApiError(error, "audio_sample");
  }
  voice.reference.text = form.text("ref_text").value_or("");
  voice.reference.x_vector_only = voice.reference.text.empty();
  auto kept = std::make_shared<UploadedVoice>(std::move(voice));
  hear_reference(
      x,
      services,
      {kept, &kept->reference},
      [x, kept, &voices = services.voices] {
        x->respond({.body = dump(describe(voices.add(*kept))) + "\n"});
      });
}

void delete_voice(const ExchangePtr& x, const Services& services) {
  const std::string& id = x->request().rest;
  if (!services.voices.remove(id)) {
    throw ApiError(
        404, "there is no uploaded voice '" + id.substr(0, 100) + "'");
  }
  x->respond(
      {.body =
           dump({{"id", id}, {"object", "audio.voice"}, {"deleted", true}}) +
           "\n"});
}

} // namespace

void add_voice_routes(Router& router, Services& s) {
  router.add(
      {.method = "GET",
       .pattern = "/v1/audio/voices",
       .handler = [&s](const ExchangePtr& x) { list_voices(x, s); }});
  router.add(
      {.method = "POST",
       .pattern = "/v1/audio/voices",
       .handler = [&s](const ExchangePtr& x) { upload_voice(x, s); },
       .max_body = max_sample + (1 << 20)});
  router.add(
      {.method = "DELETE",
       .pattern = "/v1/audio/voices/*",
       .handler = [&s](const ExchangePtr& x) { delete_voice(x, s); }});
}

} // namespace mlx_audio::server
