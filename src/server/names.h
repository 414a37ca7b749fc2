// OpenAI's names of models and voices, for clients that know no others.
#pragma once

#include <string>
#include <vector>

#include "mlx_audio/speech.h"
#include "server/options.h"

namespace mlx_audio::server {

/// The model that a request means: OpenAI's names stand for the server's
/// defaults, all others for themselves.
std::string speech_model(const std::string& name, const ServerOptions&);
std::string transcription_model(const std::string& name, const ServerOptions&);

/// A voice of the model for one of OpenAI's; any other name as it is.
std::string model_voice(
    const std::string& name,
    const std::vector<VoiceInfo>& voices);

} // namespace mlx_audio::server
