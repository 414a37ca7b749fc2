// Audio files, streams and sample rates. Samples are float, nominally -1..1,
// interleaved by channel; a frame is one sample of each channel. Everything
// here streams at flat memory except read_audio, decode_audio and encode_audio,
// which hold one whole signal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlx_audio {

/// One whole signal.
struct Audio {
  std::vector<float> samples; ///< Interleaved, [frames * channels].
  int sample_rate = 0; ///< Hz.
  int channels = 1;

  size_t frames() const {
    return channels > 0 ? samples.size() / static_cast<size_t>(channels) : 0;
  }
  double seconds() const {
    return sample_rate > 0 ? static_cast<double>(frames()) / sample_rate : 0;
  }
};

/// Formats that can be written. (Many more can be read.)
enum class AudioFormat { wav, flac, mp3, opus, aac, pcm };

/// How one sample is stored where the format leaves a choice (wav, flac, pcm).
enum class SampleFormat { s16, s24, f32 };

const char* to_string(AudioFormat format);
const char* to_string(SampleFormat format);

/// "wav", "flac", "mp3", "opus" ("ogg"), "aac" or "pcm" ("raw"), in any case.
/// Throws invalid_argument that lists the names.
AudioFormat parse_audio_format(std::string_view name);

/// "s16", "s24" or "f32". Throws invalid_argument.
SampleFormat parse_sample_format(std::string_view name);

/// The format that a path's extension asks for, or nothing if it has none that
/// is known.
std::optional<AudioFormat> audio_format_from_path(const std::string& path);

/// "audio/mpeg" and the like, for HTTP.
const char* media_type(AudioFormat format);

/// "wav", "mp3", ...: without a dot.
const char* file_extension(AudioFormat format);

/// Headerless little-endian samples.
struct RawPcm {
  int sample_rate = 16000; ///< Hz, 1000..768000.
  int channels = 1; ///< 1..64.
  SampleFormat sample_format = SampleFormat::s16;
};

/// How to read. The defaults give the signal as it is in the file.
struct ReadAudioOptions {
  /// Resample to this rate [Hz].
  std::optional<int> sample_rate = {};
  /// Mix all channels to one by their mean.
  bool mono = false;
  /// Only this channel (0 is the first); excludes `mono`. A channel that the
  /// source lacks throws invalid_argument.
  std::optional<int> channel = {};
  /// Read NaN and infinite samples as 0 instead of throwing corrupt_data.
  bool sanitize = false;
  /// The bytes are raw samples of this kind, not a file with a header.
  std::optional<RawPcm> raw = {};
  /// Longest signal that is taken; more throws too_large. 0 is no limit.
  double max_seconds = 4 * 3600;
  /// Most memory that read_audio and decode_audio may fill with samples, and
  /// most bytes a pipe that must be kept to be decoded may hold on disk; more
  /// throws too_large.
  size_t max_bytes = size_t{4} << 30;
};

/// Reads a whole file, or standard input for "-". What the file is, is decided
/// by its content. Throws not_found, io, unsupported, corrupt_data, too_large,
/// unavailable (the FFmpeg module is needed and missing), invalid_argument. A
/// truncated file gives what it holds; use AudioReader to learn of it.
Audio read_audio(const std::string& path, const ReadAudioOptions& options = {});

/// The same from memory.
Audio decode_audio(
    std::span<const uint8_t> bytes,
    const ReadAudioOptions& options = {});

/// What a source says about itself.
struct AudioInfo {
  int sample_rate = 0; ///< Hz.
  int channels = 0;
  /// Length, where the source declares one; foreign, so never trust it to size
  /// a buffer.
  std::optional<uint64_t> frames = {};
  /// The smallest sample format that keeps all of the source's precision.
  SampleFormat sample_format = SampleFormat::s16;
  /// The format of ours that the source has, if any.
  std::optional<AudioFormat> format = {};
  std::string description; ///< For people: "WAV, 24-bit PCM".
};

/// Pulls blocks out of a file, standard input or memory at flat memory.
///
/// A pipe that holds WAV or raw samples is read as it arrives; a pipe that
/// holds anything else is first kept in an unnamed temporary file.
class AudioReader {
 public:
  /// Opens a file, or standard input for "-". Throws as read_audio.
  explicit AudioReader(
      const std::string& path,
      const ReadAudioOptions& options = {});
  /// Reads `bytes`, which must outlive the reader.
  explicit AudioReader(
      std::span<const uint8_t> bytes,
      const ReadAudioOptions& options = {});
  ~AudioReader();
  AudioReader(AudioReader&&) noexcept;
  AudioReader& operator=(AudioReader&&) noexcept;

  /// The source, before resampling and choice of channels.
  const AudioInfo& info() const;
  /// What read() delivers.
  int sample_rate() const;
  int channels() const;

  /// Fills up to out.size() / channels() frames and returns their number; 0 is
  /// the end. From a pipe it returns what has arrived, at least one frame.
  /// Throws corrupt_data with the index of a NaN or infinite sample, io,
  /// too_large.
  size_t read(std::span<float> out);

  /// True once the source has proved shorter than it declares. Known when
  /// read() has returned 0.
  bool truncated() const;
  /// One line for people on truncation and the like; empty if all is well.
  const std::string& warning() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// How to write.
struct AudioEncoding {
  AudioFormat format = AudioFormat::wav;
  /// wav and pcm take all, flac takes s16 and s24; mp3, opus and aac ignore it.
  SampleFormat sample_format = SampleFormat::s16;
  /// For mp3, opus and aac: 8..320 in total; 0 is the format's default, per
  /// channel: mp3 80, opus 40, aac 72.
  int bitrate_kbps = 0;
  /// Length of the whole stream, where it is known beforehand: a live wav or
  /// flac then has a true header.
  std::optional<uint64_t> frames = {};
};

/// Where encoded bytes go. A sink whose finish() was not called leaves nothing
/// behind where it can help it.
class ByteSink {
 public:
  virtual ~ByteSink() = default;
  virtual void write(std::span<const uint8_t> bytes) = 0;
  /// Hands everything written so far on to the receiver.
  virtual void flush() {}
  /// No more bytes follow; makes a file appear under its name.
  virtual void finish() {}
  /// True if patch() works, so that headers can get their true sizes.
  virtual bool can_patch() const {
    return false;
  }
  /// Overwrites bytes that were written before, at `offset` from the start.
  virtual void patch(uint64_t offset, std::span<const uint8_t> bytes);
};

/// A file that is written beside `path` and renamed at finish(); the temporary
/// is removed on destruction without it. A path that is no regular file
/// (/dev/null, a FIFO) is written directly. Throws io, naming path and reason.
std::unique_ptr<ByteSink> file_sink(const std::string& path);
/// Standard output; throws io ("Broken pipe") when the reader has gone.
std::unique_ptr<ByteSink> stdout_sink();
/// Appends to `bytes`, which must outlive the sink.
std::unique_ptr<ByteSink> memory_sink(std::vector<uint8_t>& bytes);
/// Calls `write` with each piece.
std::unique_ptr<ByteSink> callback_sink(
    std::function<void(std::span<const uint8_t>)> write);

/// Removes the temporaries of all file sinks that are not finished.
/// Async-signal-safe: meant for a signal handler that then ends the process.
void remove_unfinished_files() noexcept;

/// Encodes one stream into one container as samples arrive. Samples beyond
/// -1..1 clip where the format cannot hold them. A rate that the codec lacks is
/// resampled, any other is kept.
class AudioWriter {
 public:
  /// Throws invalid_argument for a rate, channel count, sample format or
  /// bitrate that the format cannot have, unavailable if aac lacks its module.
  /// Headers are written at once.
  AudioWriter(
      std::unique_ptr<ByteSink> sink,
      const AudioEncoding& encoding,
      int sample_rate,
      int channels);
  ~AudioWriter();
  AudioWriter(AudioWriter&&) noexcept;
  AudioWriter& operator=(AudioWriter&&) noexcept;

  /// Interleaved; whole frames. Throws invalid_argument that gives the index of
  /// a NaN or infinite sample, io.
  void write(std::span<const float> samples);
  /// Pushes what the encoder can give now to the receiver, for live streams:
  /// all but at most one codec frame (opus 20 ms, aac 1024, flac and mp3 1152
  /// samples, or 576 of mp3 below 32 kHz) and the codec's own delay.
  void flush();
  /// Ends the stream; no write() after it. Without it nothing is kept.
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// A whole signal to bytes.
std::vector<uint8_t> encode_audio(
    const Audio& audio,
    const AudioEncoding& encoding = {});

/// A whole signal to a file, atomically.
void write_audio(
    const std::string& path,
    const Audio& audio,
    const AudioEncoding& encoding = {});

enum class ResampleQuality { hq, vhq };

/// Streaming sample-rate conversion (soxr). The same samples in any cut give
/// the same output, which is round(frames_in * to / from) frames once flushed.
class Resampler {
 public:
  /// Rates 1000..768000 Hz, channels 1..64; else throws invalid_argument.
  Resampler(
      int from_rate,
      int to_rate,
      int channels = 1,
      ResampleQuality quality = ResampleQuality::hq);
  ~Resampler();
  Resampler(Resampler&&) noexcept;
  Resampler& operator=(Resampler&&) noexcept;

  /// Appends to `out` what can be given now.
  void process(std::span<const float> in, std::vector<float>& out);
  /// Appends the rest; process() may follow only after reset().
  void flush(std::vector<float>& out);
  /// Forgets all input.
  void reset();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The whole signal at another rate.
Audio resample(
    const Audio& audio,
    int sample_rate,
    ResampleQuality quality = ResampleQuality::hq);

/// The mean of all channels.
Audio mix_to_mono(const Audio& audio);

} // namespace mlx_audio
