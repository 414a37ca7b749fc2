// The CPU kernels of mossformer_bf16.h, on plain row-major f32 arrays. Only for
// CPUs with has_bf16_pairs().
#pragma once

#include "kernels/mossformer_bf16.h"

namespace mlx_audio::kernels {

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
