/* Any audio that FFmpeg's safe demuxers and decoders know, as float. */
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/channel_layout.h>
#include <libavutil/opt.h>
#include <stdio.h>
#include <string.h>

#include "audio/ffmpeg/internal.h"

/* Only formats that hold audio by themselves: no playlists, no images, nothing
 * that names other files. */
static const char kFormats[] =
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,eac3,flac,flv,matroska,webm,mov,mp4,"
    "m4a,3gp,3g2,mj2,mp3,mpc,mpc8,mpeg,mpegts,ogg,tta,w64,wav,wv";
static const char kCodecs[] =
    "aac,aac_fixed,aac_latm,ac3,ac3_fixed,adpcm_g722,adpcm_ima_qt,"
    "adpcm_ima_wav,adpcm_ms,alac,amrnb,amrwb,ape,eac3,flac,gsm,gsm_ms,mp1,"
    "mp1float,mp2,mp2float,mp3,mp3float,mpc7,mpc8,opus,libopus,pcm_alaw,"
    "pcm_f32be,pcm_f32le,pcm_f64be,pcm_f64le,pcm_mulaw,pcm_s16be,pcm_s16le,"
    "pcm_s24be,pcm_s24le,pcm_s32be,pcm_s32le,pcm_s8,pcm_u8,tta,vorbis,"
    "wavpack,wmalossless,wmapro,wmav1,wmav2";

enum { kIoBuffer = 32768 };

struct mlx_audio_ffmpeg_decoder {
  mlx_audio_ffmpeg_input input;
  int64_t position;
  AVIOContext* io;
  AVFormatContext* format;
  AVCodecContext* codec;
  AVPacket* packet;
  AVFrame* frame;
  int stream;
  int sample_rate;
  int channels;
  int64_t declared; /* frames of an MP4 track, or 0 */
  int64_t delivered;
  int taken; /* samples of `frame` already delivered */
  int draining;
};

static int io_read(void* opaque, uint8_t* out, int size) {
  mlx_audio_ffmpeg_decoder* d = opaque;
  int n = d->input.read(d->input.opaque, out, size);
  if (n < 0) {
    return AVERROR(EIO);
  }
  d->position += n;
  return n == 0 ? AVERROR_EOF : n;
}

static int64_t io_seek(void* opaque, int64_t offset, int whence) {
  mlx_audio_ffmpeg_decoder* d = opaque;
  whence &= ~AVSEEK_FORCE;
  if (whence == AVSEEK_SIZE) {
    return d->input.size;
  }
  int64_t base = whence == SEEK_CUR ? d->position
      : whence == SEEK_END          ? d->input.size
                                    : 0;
  if (offset < -base || offset > INT64_MAX / 2) {
    return AVERROR(EINVAL);
  }
  int64_t at = d->input.seek(d->input.opaque, base + offset);
  if (at >= 0) {
    d->position = at;
  }
  return at < 0 ? AVERROR(EIO) : at;
}

static int refuse_open(
    AVFormatContext* format,
    AVIOContext** io,
    const char* url,
    int flags,
    AVDictionary** options) {
  (void)format;
  (void)io;
  (void)url;
  (void)flags;
  (void)options;
  return AVERROR(EPERM);
}

void mlx_audio_ffmpeg_fail(char* error, const char* what, int code) {
  char reason[AV_ERROR_MAX_STRING_SIZE] = "";
  av_strerror(code, reason, sizeof(reason));
  snprintf(error, MLX_AUDIO_FFMPEG_ERROR_SIZE, "%s: %s", what, reason);
}

void mlx_audio_ffmpeg_close_decoder(mlx_audio_ffmpeg_decoder* d) {
  if (d == NULL) {
    return;
  }
  av_frame_free(&d->frame);
  av_packet_free(&d->packet);
  avcodec_free_context(&d->codec);
  avformat_close_input(&d->format);
  if (d->io != NULL) {
    av_freep(&d->io->buffer);
    avio_context_free(&d->io);
  }
  av_free(d);
}

static int open_format(mlx_audio_ffmpeg_decoder* d, char* error) {
  uint8_t* buffer = av_malloc(kIoBuffer);
  d->io = buffer == NULL
      ? NULL
      : avio_alloc_context(buffer, kIoBuffer, 0, d, io_read, NULL, io_seek);
  if (d->io == NULL) {
    av_free(buffer);
    return AVERROR(ENOMEM);
  }
  d->format = avformat_alloc_context();
  if (d->format == NULL) {
    return AVERROR(ENOMEM);
  }
  d->format->pb = d->io;
  d->format->flags |= AVFMT_FLAG_CUSTOM_IO;
  d->format->io_open = refuse_open;
  d->format->format_whitelist = av_strdup(kFormats);
  d->format->codec_whitelist = av_strdup(kCodecs);
  d->format->protocol_whitelist = av_strdup("none");
  d->format->max_streams = 64;
  int code = avformat_open_input(&d->format, "", NULL, NULL);
  if (code < 0) {
    /* Not a format that we take: no message. */
    if (code != AVERROR_INVALIDDATA && code != AVERROR(EINVAL) &&
        code != AVERROR_EOF) {
      mlx_audio_ffmpeg_fail(error, "FFmpeg cannot open it", code);
    }
    return code;
  }
  for (unsigned i = 0; i < d->format->nb_streams; ++i) {
    AVStream* stream = d->format->streams[i];
    if (stream->codecpar->codec_type != AVMEDIA_TYPE_AUDIO) {
      stream->discard = AVDISCARD_ALL;
    }
  }
  code = avformat_find_stream_info(d->format, NULL);
  if (code < 0) {
    mlx_audio_ffmpeg_fail(error, "FFmpeg finds no stream", code);
  }
  return code;
}

static int open_codec(mlx_audio_ffmpeg_decoder* d, char* error) {
  const AVCodec* codec = NULL;
  int code =
      av_find_best_stream(d->format, AVMEDIA_TYPE_AUDIO, -1, -1, &codec, 0);
  if (code < 0 || codec == NULL) {
    snprintf(
        error,
        MLX_AUDIO_FFMPEG_ERROR_SIZE,
        "%s",
        code == AVERROR_STREAM_NOT_FOUND || code >= 0
            ? "it has no audio track"
            : "FFmpeg has no decoder for its audio track");
    return AVERROR(ENOSYS);
  }
  d->stream = code;
  for (unsigned i = 0; i < d->format->nb_streams; ++i) {
    d->format->streams[i]->discard =
        (int)i == d->stream ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
  }
  AVStream* stream = d->format->streams[d->stream];
  d->codec = avcodec_alloc_context3(codec);
  if (d->codec == NULL ||
      avcodec_parameters_to_context(d->codec, stream->codecpar) < 0) {
    return AVERROR(ENOMEM);
  }
  d->codec->thread_count = 1;
  d->codec->pkt_timebase = stream->time_base;
  d->codec->codec_whitelist = av_strdup(kCodecs);
  code = avcodec_open2(d->codec, codec, NULL);
  if (code < 0) {
    mlx_audio_ffmpeg_fail(error, "FFmpeg cannot decode it", code);
  }
  return code;
}

/* The next decoded frame: 1, 0 at the end, or an error code. Packets that do
 * not decode are skipped, as players do. */
static int next_frame(mlx_audio_ffmpeg_decoder* d) {
  d->taken = 0;
  for (;;) {
    int code = avcodec_receive_frame(d->codec, d->frame);
    if (code >= 0) {
      /* MP4 ends within its last AAC frame; the rest is the encoder's. */
      int64_t left = d->declared - d->delivered;
      if (left > 0 && left < d->frame->nb_samples) {
        d->frame->nb_samples = (int)left;
      }
      d->delivered += d->frame->nb_samples;
      if (d->frame->nb_samples > 0) {
        return 1;
      }
      continue;
    }
    if (code == AVERROR_EOF || d->draining) {
      return 0;
    }
    if (code != AVERROR(EAGAIN) && code != AVERROR_INVALIDDATA) {
      return code;
    }
    code = av_read_frame(d->format, d->packet);
    if (code < 0) {
      if (code == AVERROR(EIO) || code == AVERROR(ENOMEM)) {
        return code;
      }
      d->draining = 1;
      avcodec_send_packet(d->codec, NULL);
      continue;
    }
    if (d->packet->stream_index == d->stream) {
      code = avcodec_send_packet(d->codec, d->packet);
    } else {
      code = 0;
    }
    av_packet_unref(d->packet);
    if (code == AVERROR(ENOMEM)) {
      return code;
    }
  }
}

static int original_bits(const mlx_audio_ffmpeg_decoder* d) {
  const AVCodecParameters* p = d->format->streams[d->stream]->codecpar;
  int bits = p->bits_per_raw_sample > 0 ? p->bits_per_raw_sample
                                        : av_get_bits_per_sample(p->codec_id);
  const AVCodecDescriptor* about = avcodec_descriptor_get(p->codec_id);
  if (about != NULL && (about->props & AV_CODEC_PROP_LOSSLESS) == 0) {
    return 16;
  }
  return bits <= 16 ? 16 : bits <= 24 ? 24 : 32;
}

mlx_audio_ffmpeg_decoder* mlx_audio_ffmpeg_open_decoder(
    const mlx_audio_ffmpeg_input* input,
    mlx_audio_ffmpeg_info* info,
    char* error) {
  error[0] = 0;
  mlx_audio_ffmpeg_decoder* d = av_mallocz(sizeof(*d));
  if (d == NULL) {
    return NULL;
  }
  d->input = *input;
  d->packet = av_packet_alloc();
  d->frame = av_frame_alloc();
  if (d->packet == NULL || d->frame == NULL || open_format(d, error) < 0 ||
      open_codec(d, error) < 0) {
    mlx_audio_ffmpeg_close_decoder(d);
    return NULL;
  }
  /* Only a decoded frame tells the true rate (HE-AAC declares half of it). */
  int code = next_frame(d);
  if (code <= 0) {
    snprintf(
        error, MLX_AUDIO_FFMPEG_ERROR_SIZE, "nothing in it can be decoded");
    mlx_audio_ffmpeg_close_decoder(d);
    return NULL;
  }
  const AVStream* stream = d->format->streams[d->stream];
  d->sample_rate = d->frame->sample_rate;
  d->channels = d->frame->ch_layout.nb_channels;
  info->sample_rate = d->sample_rate;
  info->channels = d->channels;
  info->bits = original_bits(d);
  info->container = d->format->iformat->name;
  info->codec = avcodec_get_name(d->codec->codec_id);
  info->frames = -1;
  if (stream->duration != AV_NOPTS_VALUE && stream->duration > 0) {
    info->frames = av_rescale_q(
        stream->duration, stream->time_base, (AVRational){1, d->sample_rate});
  } else if (d->format->duration != AV_NOPTS_VALUE && d->format->duration > 0) {
    info->frames =
        av_rescale(d->format->duration, d->sample_rate, AV_TIME_BASE);
  }
  if (strncmp(info->container, "mov", 3) == 0 && info->frames > 0) {
    d->declared = info->frames;
  }
  return d;
}

static float sample_of(const uint8_t* data, enum AVSampleFormat kind, int i) {
  switch (kind) {
    case AV_SAMPLE_FMT_U8:
      return (float)(data[i] - 128) / 128.0F;
    case AV_SAMPLE_FMT_S16:
      return (float)((const int16_t*)data)[i] / 32768.0F;
    case AV_SAMPLE_FMT_S32:
      return (float)(((const int32_t*)data)[i] * 0x1p-31);
    case AV_SAMPLE_FMT_S64:
      return (float)(((const int64_t*)data)[i] * 0x1p-63);
    case AV_SAMPLE_FMT_DBL:
      return (float)((const double*)data)[i];
    default:
      return ((const float*)data)[i];
  }
}

int mlx_audio_ffmpeg_decode(
    mlx_audio_ffmpeg_decoder* d,
    float* out,
    int max_frames,
    char* error) {
  error[0] = 0;
  if (d->taken == d->frame->nb_samples) {
    int code = next_frame(d);
    if (code < 0) {
      mlx_audio_ffmpeg_fail(error, "FFmpeg cannot decode it", code);
      return -1;
    }
    if (code == 0) {
      d->frame->nb_samples = d->taken = 0;
      return 0;
    }
    if (d->frame->sample_rate != d->sample_rate ||
        d->frame->ch_layout.nb_channels != d->channels) {
      snprintf(
          error,
          MLX_AUDIO_FFMPEG_ERROR_SIZE,
          "it changes from %d Hz, %d channels to %d Hz, %d channels",
          d->sample_rate,
          d->channels,
          d->frame->sample_rate,
          d->frame->ch_layout.nb_channels);
      return -1;
    }
  }
  int n = d->frame->nb_samples - d->taken;
  n = n < max_frames ? n : max_frames;
  int planar = av_sample_fmt_is_planar(d->frame->format);
  enum AVSampleFormat kind = av_get_packed_sample_fmt(d->frame->format);
  for (int c = 0; c < d->channels; ++c) {
    const uint8_t* data = d->frame->extended_data[planar ? c : 0];
    for (int i = 0; i < n; ++i) {
      int at = d->taken + i;
      out[i * d->channels + c] =
          sample_of(data, kind, planar ? at : at * d->channels + c);
    }
  }
  d->taken += n;
  return n;
}
