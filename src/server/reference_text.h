// Reference recordings whose words the client leaves to us.
#pragma once

#include <functional>
#include <memory>

#include "mlx_audio/speech.h"
#include "server/exchange.h"
#include "server/services.h"

namespace mlx_audio::server {

/// Has the transcription model write what is said in a recording whose text is
/// "auto", then calls `done` on the strand; at once if nothing is to be heard.
/// An error, blamed on `ref_text`, is the response.
void hear_reference(
    const ExchangePtr& x,
    const Services& services,
    const std::shared_ptr<VoiceReference>& reference,
    std::function<void()> done);

} // namespace mlx_audio::server
