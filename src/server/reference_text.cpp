#include "server/reference_text.h"

#include <utility>

#include "engine/reference_text.h"
#include "server/engine_work.h"

namespace mlx_audio::server {

void hear_reference(
    const ExchangePtr& x,
    const Services& services,
    const std::shared_ptr<VoiceReference>& reference,
    std::function<void()> done) {
  if (reference->x_vector_only || reference->text != engine::kAutoText) {
    return done();
  }
  auto heard = std::make_shared<std::string>();
  engine_work(
      x,
      [&](auto finished) {
        return services.engine.transcribe(
            services.options.transcription_model,
            reference,
            {.audio = &reference->audio, .options = {.timestamps = false}},
            {.segment = [](TranscriptionSegment&&,
                           const TranscriptionProgress&) {},
             .result =
                 [heard](Transcription&& whole) {
                   *heard = std::move(whole.text);
                 },
             .finished = std::move(finished)},
            Priority::interactive);
      },
      [reference, heard, done = std::move(done)](const Ticket&) {
        try {
          reference->text = engine::reference_words(*heard);
        } catch (const Error& error) {
          throw ApiError(error, "ref_text");
        }
        done();
      },
      "ref_text");
}

} // namespace mlx_audio::server
