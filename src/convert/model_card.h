#pragma once

#include <string>

#include "convert/convert.h"
#include "convert/import.h"

namespace mlx_audio::convert {

/// README.md of a converted model: front matter as the Hub reads it, what it
/// was made of and how to use it.
std::string model_card(
    const Import& import,
    const ConvertOptions& options,
    const ConvertReport& report);

} // namespace mlx_audio::convert
