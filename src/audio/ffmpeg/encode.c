/* AAC-LC with ADTS headers (ISO/IEC 14496-3, 1.A.2.2), and the module's table
 * of functions. */
#include <libavcodec/avcodec.h>
#include <libavutil/channel_layout.h>
#include <libavutil/log.h>
#include <stdio.h>
#include <string.h>

#include "audio/ffmpeg/internal.h"

struct mlx_audio_ffmpeg_encoder {
  AVCodecContext* codec;
  AVFrame* frame;
  AVPacket* packet;
  int filled; /* samples waiting in `frame` */
  int64_t position;
  int rate_index;
  mlx_audio_ffmpeg_write write;
  void* opaque;
};

static void close_encoder(mlx_audio_ffmpeg_encoder* e) {
  if (e != NULL) {
    av_packet_free(&e->packet);
    av_frame_free(&e->frame);
    avcodec_free_context(&e->codec);
    av_free(e);
  }
}

static mlx_audio_ffmpeg_encoder* open_aac(
    int sample_rate,
    int channels,
    int bitrate,
    mlx_audio_ffmpeg_write write,
    void* opaque,
    char* error) {
  static const int rates[] = {
      96000,
      88200,
      64000,
      48000,
      44100,
      32000,
      24000,
      22050,
      16000,
      12000,
      11025,
      8000,
      7350};
  error[0] = 0;
  int index = 0;
  while (index < 13 && rates[index] != sample_rate) {
    ++index;
  }
  const AVCodec* aac = avcodec_find_encoder_by_name("aac");
  mlx_audio_ffmpeg_encoder* e = av_mallocz(sizeof(*e));
  if (e == NULL || aac == NULL || index == 13) {
    snprintf(
        error,
        MLX_AUDIO_FFMPEG_ERROR_SIZE,
        "FFmpeg has no AAC encoder for %d Hz",
        sample_rate);
    av_free(e);
    return NULL;
  }
  e->write = write;
  e->opaque = opaque;
  e->rate_index = index;
  e->codec = avcodec_alloc_context3(aac);
  e->frame = av_frame_alloc();
  e->packet = av_packet_alloc();
  int code = AVERROR(ENOMEM);
  if (e->codec != NULL && e->frame != NULL && e->packet != NULL) {
    e->codec->sample_rate = sample_rate;
    e->codec->sample_fmt = AV_SAMPLE_FMT_FLTP;
    e->codec->bit_rate = bitrate;
    e->codec->thread_count = 1;
    e->codec->time_base = (AVRational){1, sample_rate};
    av_channel_layout_default(&e->codec->ch_layout, channels);
    code = avcodec_open2(e->codec, aac, NULL);
  }
  if (code >= 0) {
    e->frame->format = AV_SAMPLE_FMT_FLTP;
    e->frame->nb_samples = e->codec->frame_size;
    e->frame->sample_rate = sample_rate;
    av_channel_layout_copy(&e->frame->ch_layout, &e->codec->ch_layout);
    code = av_frame_get_buffer(e->frame, 0);
  }
  if (code < 0) {
    mlx_audio_ffmpeg_fail(error, "FFmpeg cannot encode AAC", code);
    close_encoder(e);
    return NULL;
  }
  return e;
}

static int deliver(mlx_audio_ffmpeg_encoder* e, char* error) {
  int code = 0;
  while ((code = avcodec_receive_packet(e->codec, e->packet)) >= 0) {
    unsigned size = (unsigned)e->packet->size + 7;
    unsigned channels = (unsigned)e->codec->ch_layout.nb_channels;
    unsigned rate = (unsigned)e->rate_index;
    uint8_t head[7] = {
        0xFF,
        0xF1, /* MPEG-4, no checksum */
        (uint8_t)(1 << 6 | rate << 2 | channels >> 2), /* profile LC */
        (uint8_t)((channels & 3) << 6 | size >> 11),
        (uint8_t)(size >> 3),
        (uint8_t)((size & 7) << 5 | 0x1F), /* buffer fullness: variable rate */
        0xFC};
    int failed = e->write(e->opaque, head, sizeof(head)) < 0 ||
        e->write(e->opaque, e->packet->data, (size_t)e->packet->size) < 0;
    av_packet_unref(e->packet);
    if (failed) {
      return -1;
    }
  }
  if (code != AVERROR(EAGAIN) && code != AVERROR_EOF) {
    mlx_audio_ffmpeg_fail(error, "FFmpeg cannot encode AAC", code);
    return -1;
  }
  return 0;
}

static int send(mlx_audio_ffmpeg_encoder* e, AVFrame* frame, char* error) {
  int code = avcodec_send_frame(e->codec, frame);
  if (code < 0) {
    mlx_audio_ffmpeg_fail(error, "FFmpeg cannot encode AAC", code);
    return -1;
  }
  return deliver(e, error);
}

static int send_filled(mlx_audio_ffmpeg_encoder* e, char* error) {
  e->frame->nb_samples = e->filled;
  e->frame->pts = e->position;
  e->position += e->filled;
  e->filled = 0;
  int result = send(e, e->frame, error);
  e->frame->nb_samples = e->codec->frame_size;
  return result;
}

static int encode(
    mlx_audio_ffmpeg_encoder* e,
    const float* samples,
    size_t frames,
    char* error) {
  error[0] = 0;
  int channels = e->codec->ch_layout.nb_channels;
  if (samples == NULL) {
    if (e->filled > 0 && send_filled(e, error) < 0) {
      return -1;
    }
    return send(e, NULL, error);
  }
  for (size_t i = 0; i < frames; ++i) {
    if (e->filled == 0) {
      int code = av_frame_make_writable(e->frame);
      if (code < 0) {
        mlx_audio_ffmpeg_fail(error, "FFmpeg cannot encode AAC", code);
        return -1;
      }
    }
    for (int c = 0; c < channels; ++c) {
      float x = samples[i * (size_t)channels + (size_t)c];
      ((float*)e->frame->extended_data[c])[e->filled] = x > 1.0F ? 1.0F
          : x < -1.0F                                            ? -1.0F
                                                                 : x;
    }
    if (++e->filled == e->codec->frame_size && send_filled(e, error) < 0) {
      return -1;
    }
  }
  return 0;
}

__attribute__((visibility("default"))) const mlx_audio_ffmpeg_api*
mlx_audio_ffmpeg_get_api(void) {
  static const mlx_audio_ffmpeg_api api = {
      MLX_AUDIO_FFMPEG_API_VERSION,
      mlx_audio_ffmpeg_open_decoder,
      mlx_audio_ffmpeg_decode,
      mlx_audio_ffmpeg_close_decoder,
      open_aac,
      encode,
      close_encoder};
  av_log_set_level(AV_LOG_QUIET);
  av_max_alloc((size_t)256 << 20); /* no single foreign size is taken above */
  return &api;
}
