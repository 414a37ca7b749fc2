/* Shared by the files of the module. */
#ifndef MLX_AUDIO_FFMPEG_INTERNAL_H
#define MLX_AUDIO_FFMPEG_INTERNAL_H

#include "audio/ffmpeg/ffmpeg_api.h"

void mlx_audio_ffmpeg_fail(char* error, const char* what, int code);

mlx_audio_ffmpeg_decoder* mlx_audio_ffmpeg_open_decoder(
    const mlx_audio_ffmpeg_input* input,
    mlx_audio_ffmpeg_info* info,
    char* error);
int mlx_audio_ffmpeg_decode(
    mlx_audio_ffmpeg_decoder* d,
    float* out,
    int max_frames,
    char* error);
void mlx_audio_ffmpeg_close_decoder(mlx_audio_ffmpeg_decoder* d);

#endif
