// Speech to text. A model is loaded once; each request gives a stream of
// segments that the caller pulls, one by one, and may leave at any time.
//
//   auto model = load_transcription_model("/models/whisper-base");
//   auto stream = model->transcribe({.path = "talk.mp3"});
//   while (auto segment = stream->next()) {
//     std::cout << segment->text << '\n';
//   }
//
// A model and its streams belong to the thread that made them. Errors are
// mlx_audio::Error.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "mlx_audio/audio.h"

namespace mlx_audio {

enum class TranscriptionTask {
  transcribe, ///< what is said, in its own language
  translate, ///< what is said, in English
};

/// How speech is told from silence (Silero VAD).
struct VadOptions {
  double threshold = 0.5; ///< 0..1; above it a piece of 32 ms is speech
  /// Speech ends where the probability stays below this; negative: threshold
  /// less 0.15.
  double negative_threshold = -1;
  double min_speech = 0.0; ///< seconds; shorter speech is dropped
  double max_speech = 30; ///< seconds; longer speech is cut at its best pause
  double min_silence = 0.16; ///< seconds of silence that end speech
  double padding = 0.4; ///< seconds kept around speech
  /// Folder of the Silero model; empty: given at load.
  std::string model = {};
};

/// What to transcribe and how. The defaults are those of OpenAI's whisper.
struct TranscriptionOptions {
  /// Code or English name ("fr", "French"); empty: detected from the first 30
  /// seconds. A model of one language takes only that.
  std::string language = {};
  /// What detection chooses among; empty: all that the model knows.
  std::vector<std::string> languages = {};
  TranscriptionTask task = TranscriptionTask::transcribe;

  /// Tried in turn while a window's text fails the two thresholds below. Above
  /// 0 tokens are drawn at random. Each 0..2; must not be empty.
  std::vector<double> temperatures = {0.0, 0.2, 0.4, 0.6, 0.8, 1.0};
  /// Text whose zlib compression ratio is above this is a repetition.
  std::optional<double> compression_ratio_threshold = 2.4;
  /// Text whose mean log-probability is below this is a guess.
  std::optional<double> logprob_threshold = -1.0;
  /// A window that is silence with more than this probability, and whose text
  /// is a guess, is skipped.
  std::optional<double> no_speech_threshold = 0.6;

  /// Candidates of beam search at temperature 0, 1..32; 1 is greedy.
  int beam_size = 1;
  /// Beam search ends with beam_size x patience finished candidates; above 0.
  double patience = 1.0;
  /// Exponent of the length by which candidates are compared, 0..1; nothing:
  /// by their mean log-probability.
  std::optional<double> length_penalty = {};
  /// Drawn samples of which the best is kept at temperatures above 0, 1..32.
  int best_of = 5;
  /// Above 1 makes tokens rarer that the window has already; 1 is off.
  double repetition_penalty = 1.0;
  /// Language models (VibeVoice-ASR): how many tokens back that looks, 1 and
  /// more.
  int repetition_context = 100;
  /// Language models: what is drawn from at temperatures above 0. The top_k
  /// most likely (0: all); the fewest that hold top_p, 0..1; those of at least
  /// min_p times the best, 0..1.
  int top_k = 0;
  double top_p = 1.0;
  double min_p = 0.0;
  /// Tokens never to produce; -1 stands for the model's list of symbols that
  /// are not speech.
  std::vector<int> suppress_tokens = {-1};
  bool suppress_blank = true; ///< no window begins with a space alone
  /// Of one window; 0: half of the text context (224). VibeVoice-ASR: of the
  /// transcript; 0: 16 for each second of sound, at least 8192. Its streaming
  /// checkpoints: of a chunk; 0: 256.
  int max_tokens = 0;
  uint64_t seed = 0; ///< of the draws at temperatures above 0

  /// Text of each window prompts the next one.
  bool condition_on_previous_text = true;
  /// The prompt is dropped after a window that took a temperature above this.
  double prompt_reset_temperature = 0.5;
  /// Text "before" the first window: names, spelling, style.
  std::string initial_prompt = {};
  bool carry_initial_prompt = false; ///< prepend it to every window's prompt
  std::string prefix = {}; ///< text that the first window begins with
  std::string hotwords = {}; ///< words put before every window's prompt

  /// Streaming checkpoints of VibeVoice-ASR: seconds of new sound in a chunk,
  /// and of what is heard after it; nothing: as the model was trained.
  std::optional<double> chunk_duration = {};
  std::optional<double> text_audio_delay = {};
  bool pad_last_chunk = true; ///< the last chunk is as long as the others

  bool timestamps = true; ///< false: windows of text without inner times
  double max_initial_timestamp = 1.0; ///< seconds; of a window's first segment
  bool word_timestamps = false; ///< times and probabilities of words
  std::string prepend_punctuations = "\"'“¿([{-"; ///< go to the next word
  /// Go to the word before.
  std::string append_punctuations = "\"'.。,，!！?？:：”)]}、";
  /// With word times: silence longer than this [seconds] around text that looks
  /// made up is skipped.
  std::optional<double> hallucination_silence_threshold = {};
  /// Only these parts [seconds]: start, end, start, end, ...; the last end may
  /// be left out.
  std::vector<double> clip_timestamps = {};

  /// Only speech is heard; times still count from the start of the source.
  bool vad = false;
  VadOptions vad_options = {};
  /// Above 1: windows of up to 30 s, cut at pauses by the VAD, are decoded this
  /// many at a time, each by itself (no text prompts the next). 1..64.
  int batch_size = 1;
};

/// Where the sound comes from: exactly one of the first three.
struct TranscriptionRequest {
  std::string path = {}; ///< a file, or "-" for standard input
  std::span<const uint8_t> bytes =
      {}; ///< a file in memory; must outlive the stream
  const Audio* audio = nullptr; ///< a signal; must outlive the stream
  ReadAudioOptions reading = {}; ///< raw samples, one channel, limits
  TranscriptionOptions options = {};
};

struct TranscribedWord {
  std::string text = {}; ///< with its leading space, if the language has them
  double start = 0; ///< seconds from the start of the source
  double end = 0;
  double probability = 0; ///< 0..1
};

struct TranscriptionSegment {
  int id = 0; ///< 0, 1, 2, ...
  int64_t seek = 0; ///< start of its window in hundredths of a second
  double start = 0; ///< seconds from the start of the source
  double end = 0;
  std::string text = {}; ///< as decoded, with leading space; may be empty
  std::vector<int> tokens = {}; ///< text and times
  double temperature = 0; ///< at which its window was decoded
  double avg_logprob = 0; ///< of its window's tokens
  double compression_ratio = 0; ///< of its window's text
  double no_speech_prob = 0; ///< of its window
  std::vector<TranscribedWord> words = {}; ///< if asked for
  /// Who speaks, as the model counts or names them ("0", "1", ...); empty: not
  /// known.
  std::string speaker = {};
};

/// A whole result.
struct Transcription {
  std::string text = {}; ///< all segments' text in a row
  std::string language = {}; ///< code
  double language_probability = 1; ///< 1 where it was given
  double duration = 0; ///< seconds of the source
  TranscriptionTask task = TranscriptionTask::transcribe;
  bool has_words = false;
  bool truncated = false; ///< a limit of tokens ended it before its end
  std::vector<TranscriptionSegment> segments = {};
};

/// Segments as they are found.
class TranscriptionStream {
 public:
  virtual ~TranscriptionStream() = default;
  /// The next segment, or nothing at the end.
  virtual std::optional<TranscriptionSegment> next() = 0;
  /// A bounded piece of the work towards next(): may give a segment. False at
  /// the end.
  virtual bool step(std::optional<TranscriptionSegment>& segment) {
    segment = next();
    return segment.has_value();
  }
  /// Code of the language; known after the first next(). Empty: the model does
  /// not say.
  virtual std::string language() const = 0;
  virtual double language_probability() const = 0;
  /// Seconds of the source; a pipe's grow until its end.
  virtual double duration() const = 0;
  /// Seconds of the source that are done.
  virtual double position() const = 0;
  /// One line for people on truncation and the like; empty if all is well.
  virtual std::string warning() const {
    return "";
  }
  /// A limit of tokens ended the text before its end.
  virtual bool truncated() const {
    return false;
  }
};

/// What a live session has for its listener.
struct LiveUpdate {
  /// Words that will not change any more, since the last update.
  std::vector<TranscribedWord> words = {};
  /// What may still change, heard after them.
  std::string pending = {};
  /// Pauses close a segment of final words; its text is `segment`.
  std::optional<TranscriptionSegment> segment = {};
};

struct LiveOptions {
  TranscriptionOptions transcription = {};
  double step = 1.0; ///< seconds of new sound between two looks at it, 0.2..10
  /// Seconds of sound that are kept and heard again at most, 8..28.
  double max_window = 24;
  /// Seconds of silence that end a segment.
  double pause = 0.8;
};

/// Text while it is being said, at bounded memory, by local agreement: words
/// are final once two looks in a row agree on them (Machacek et al. 2023).
class LiveTranscription {
 public:
  virtual ~LiveTranscription() = default;
  /// Adds samples: 16 kHz, mono, -1..1.
  virtual void feed(std::span<const float> samples) = 0;
  /// Hears what has been fed; nothing if less than a step is new.
  virtual std::optional<LiveUpdate> step() = 0;
  /// No more comes; what is left becomes final.
  virtual LiveUpdate close() = 0;
  virtual std::string language() const = 0;
};

class TranscriptionModel {
 public:
  virtual ~TranscriptionModel() = default;
  /// Checks all options at once; sound is read as segments are pulled.
  virtual std::unique_ptr<TranscriptionStream> transcribe(
      const TranscriptionRequest& request) = 0;
  /// @throws Error unsupported if the model cannot listen live.
  virtual std::unique_ptr<LiveTranscription> listen(
      const LiveOptions& options) = 0;
  /// "whisper", "vibevoice_asr"
  virtual std::string type() const = 0;
  /// Codes of the languages that it knows; empty: it finds them itself.
  virtual std::vector<std::string> languages() const = 0;
};

struct TranscriptionModelOptions {
  /// "float32", "float16", "bfloat16", or empty: float32 on the CPU, the
  /// checkpoint's type elsewhere.
  std::string dtype = {};
  /// 4 or 8 quantizes the decoder at load, which halves what a token reads; 0
  /// keeps the checkpoint's.
  int decoder_bits = 0;
  /// Folder of a Silero VAD, for `vad` and batches.
  std::string vad_model = {};
};

/// Loads the model in a folder. Throws not_found, corrupt_data, unsupported.
std::unique_ptr<TranscriptionModel> load_transcription_model(
    const std::string& folder,
    const TranscriptionModelOptions& options = {});

/// Pulls a stream to its end.
Transcription collect(TranscriptionStream& stream, const TranscriptionOptions&);

/// A segment's text without spaces around it, behind who says it where that is
/// known: "Speaker 0: Hello.", or "Ada: Hello." for names.
std::string labelled_text(const TranscriptionSegment& segment);

enum class TranscriptFormat { txt, srt, vtt, tsv, json, verbose_json };

/// "txt" ("text"), "srt", "vtt", "tsv", "json" or "verbose_json". Throws
/// invalid_argument that lists the names.
TranscriptFormat parse_transcript_format(const std::string& name);

/// Limits for subtitles; they need words.
struct SubtitleOptions {
  int max_line_width = 0; ///< characters; 0: no limit
  int max_line_count = 0; ///< lines of one subtitle; 0: no limit
  int max_words_per_line = 0; ///< 0: no limit
  bool highlight_words = false; ///< underlines each word as it is said
};

/// A result as text of a format, with a line end at the end.
std::string format_transcript(
    const Transcription& transcription,
    TranscriptFormat format,
    const SubtitleOptions& subtitles = {});

} // namespace mlx_audio
