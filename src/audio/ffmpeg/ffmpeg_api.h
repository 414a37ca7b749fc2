/* What libmlx_audio_ffmpeg.so offers: a C interface, so that the main library
 * never links FFmpeg, which many distributions build under the GPL. */
#ifndef MLX_AUDIO_FFMPEG_API_H
#define MLX_AUDIO_FFMPEG_API_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MLX_AUDIO_FFMPEG_API_VERSION 1
#define MLX_AUDIO_FFMPEG_ERROR_SIZE 256

/* Bytes come from and go to callbacks; foreign names and URLs in a file are
 * never opened. */
typedef struct {
  void* opaque;
  /* Bytes read, 0 at the end, -1 on failure. */
  int (*read)(void* opaque, uint8_t* out, int size);
  /* The new position, or -1. */
  int64_t (*seek)(void* opaque, int64_t position);
  int64_t size;
} mlx_audio_ffmpeg_input;

typedef struct {
  int sample_rate;
  int channels;
  int64_t frames; /* -1: unknown; often an estimate */
  int bits; /* of the original samples: 16, 24, 32 */
  const char* container;
  const char* codec;
} mlx_audio_ffmpeg_info;

typedef struct mlx_audio_ffmpeg_decoder mlx_audio_ffmpeg_decoder;
typedef struct mlx_audio_ffmpeg_encoder mlx_audio_ffmpeg_encoder;

/* Takes encoded bytes; 0, or -1 to stop. */
typedef int (*mlx_audio_ffmpeg_write)(void* opaque, const uint8_t*, size_t);

typedef struct {
  int version;
  /* Null on failure; `error` then holds why, and is empty if the bytes are of
   * no known kind. */
  mlx_audio_ffmpeg_decoder* (*open_decoder)(
      const mlx_audio_ffmpeg_input* input,
      mlx_audio_ffmpeg_info* info,
      char* error);
  /* Interleaved float frames read, 0 at the end, -1 on failure. */
  int (*decode)(
      mlx_audio_ffmpeg_decoder* decoder,
      float* out,
      int max_frames,
      char* error);
  void (*close_decoder)(mlx_audio_ffmpeg_decoder* decoder);

  /* AAC-LC in ADTS. */
  mlx_audio_ffmpeg_encoder* (*open_aac)(
      int sample_rate,
      int channels,
      int bitrate,
      mlx_audio_ffmpeg_write write,
      void* opaque,
      char* error);
  /* samples == NULL ends the stream. 0, or -1 on failure. */
  int (*encode)(
      mlx_audio_ffmpeg_encoder* encoder,
      const float* samples,
      size_t frames,
      char* error);
  void (*close_encoder)(mlx_audio_ffmpeg_encoder* encoder);
} mlx_audio_ffmpeg_api;

/* The module's one symbol. */
const mlx_audio_ffmpeg_api* mlx_audio_ffmpeg_get_api(void);

#ifdef __cplusplus
}
#endif

#endif
