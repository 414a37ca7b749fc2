// Samples to bytes and back: little-endian PCM, A-law and mu-law.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "mlx_audio/audio.h"

namespace mlx_audio::audio {

/// Every sample storage that a WAV file or a raw stream can have.
enum class Storage { u8, s16, s24, s32, f32, f64, alaw, mulaw };

size_t storage_bytes(Storage storage);
Storage storage_of(SampleFormat format);

/// Decodes samples.size() samples; `bytes` holds at least that many.
void decode_samples(
    std::span<const uint8_t> bytes,
    Storage storage,
    std::span<float> samples);

/// Appends the samples as s16, s24 or f32 little-endian. Integers are
/// round(x * 2^(bits-1)), clipped, so that reading gives back what was read.
void encode_samples(
    std::span<const float> samples,
    SampleFormat format,
    std::vector<uint8_t>& out);

/// round(x * 2^(bits-1)), clipped; bits is 16 or 24.
int32_t to_integer(float x, int bits);

/// Index of the first NaN or infinite sample, or samples.size().
size_t find_not_finite(std::span<const float> samples);

} // namespace mlx_audio::audio
