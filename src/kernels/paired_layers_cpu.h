// The CPU kernels of mossformer_bf16.h, on plain row-major f32 arrays.
#pragma once

#include "kernels/mossformer_bf16.h"

namespace mlx_audio::kernels {

/// True if this CPU has AVX-512 BF16 and kernels are held to no lesser set.
bool paired_layers_run();

void paired_attention_cpu(
    const PairedAttention& layer,
    const float* x, // [time, channels]
    const float* rotary, // [time, 2 pairs]
    int64_t pairs,
    int64_t time,
    float* y); // [time, channels]

void paired_fsmn_cpu(
    const PairedFsmn& layer,
    const float* x, // [time, channels]
    int64_t time,
    float* y); // [time, channels]

} // namespace mlx_audio::kernels
