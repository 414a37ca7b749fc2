#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlx_audio::server {

std::string to_base64(std::span<const uint8_t> bytes);

/// Base64 (also URL-safe, with or without padding and line breaks), or a data
/// URL that holds it. @throws ApiError 400 that names `field`.
std::vector<uint8_t> from_base64(
    std::string_view text,
    const std::string& field);

} // namespace mlx_audio::server
