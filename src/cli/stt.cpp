#include "cli/stt.h"

#include <memory>
#include <sstream>

#include "cli/commands.h"
#include "mlx_audio/error.h"

namespace mlx_audio::cli {

namespace {

struct Flags {
  SttJob job;
  std::string task = "transcribe";
  std::string format = "txt";
  std::string raw;
  std::vector<double> temperature;
  double compression_ratio = 2.4;
  double logprob = -1;
  double no_speech = 0.6;
  double length_penalty = -1;
  double hallucination = -1;
  bool no_condition = false;
  bool no_timestamps = false;
  int channel = -1;
};

std::vector<TranscriptFormat> formats_of(const std::string& list) {
  if (list == "all") {
    return {
        TranscriptFormat::txt,
        TranscriptFormat::srt,
        TranscriptFormat::vtt,
        TranscriptFormat::tsv,
        TranscriptFormat::json};
  }
  std::vector<TranscriptFormat> formats;
  std::istringstream in(list);
  for (std::string name; std::getline(in, name, ',');) {
    formats.push_back(parse_transcript_format(name));
  }
  if (formats.empty()) {
    parse_transcript_format(list);
  }
  return formats;
}

// "16000" or "16000,2,f32": rate, channels, sample format.
RawPcm raw_of(const std::string& text) {
  RawPcm raw;
  std::istringstream in(text);
  std::string part;
  try {
    std::getline(in, part, ',');
    raw.sample_rate = std::stoi(part);
    if (std::getline(in, part, ',')) {
      raw.channels = std::stoi(part);
    }
  } catch (const std::exception&) {
    throw Error(
        ErrorKind::invalid_argument,
        "--raw '" + text + "' is not RATE[,CHANNELS[,s16|s24|f32]]");
  }
  if (std::getline(in, part, ',')) {
    raw.sample_format = parse_sample_format(part);
  }
  return raw;
}

void run(Flags& flags) {
  SttJob& job = flags.job;
  auto& o = job.options;
  if (job.inputs.empty() && !job.microphone) {
    throw Error(
        ErrorKind::invalid_argument,
        "nothing to transcribe",
        "name files, folders or -, or add --microphone");
  }
  job.live = job.live || job.microphone;
  o.task = flags.task == "translate" ? TranscriptionTask::translate
                                     : TranscriptionTask::transcribe;
  job.formats = formats_of(flags.format);
  if (!flags.temperature.empty()) {
    o.temperatures = flags.temperature;
  }
  auto threshold = [](double value, bool off) {
    return off ? std::nullopt : std::optional<double>(value);
  };
  o.compression_ratio_threshold =
      threshold(flags.compression_ratio, flags.compression_ratio <= 0);
  o.logprob_threshold = threshold(flags.logprob, flags.logprob >= 0);
  o.no_speech_threshold = threshold(flags.no_speech, flags.no_speech >= 1);
  o.length_penalty = threshold(flags.length_penalty, flags.length_penalty < 0);
  o.hallucination_silence_threshold =
      threshold(flags.hallucination, flags.hallucination < 0);
  o.condition_on_previous_text = !flags.no_condition;
  o.timestamps = !flags.no_timestamps;
  bool needs_words = job.subtitles.highlight_words ||
      job.subtitles.max_line_width > 0 || job.subtitles.max_line_count > 0 ||
      job.subtitles.max_words_per_line > 0 || o.hallucination_silence_threshold;
  o.word_timestamps = o.word_timestamps || needs_words;
  if (!flags.raw.empty()) {
    job.reading.raw = raw_of(flags.raw);
  }
  if (flags.channel >= 0) {
    job.reading.channel = flags.channel;
  }
  run_stt(job);
}

} // namespace

void add_stt_command(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  SttJob& job = flags->job;
  auto& o = job.options;
  auto* c = app.add_subcommand("stt", "Transcribe or translate speech");
  auto* files = c->add_option(
      "files", job.inputs, "Files, folders, globs, or - for a pipe");
  auto* microphone =
      c->add_flag(
           "--microphone", job.microphone, "Record until Ctrl-C; with --stream")
          ->excludes(files);
  c->add_option(
       "--device", job.device, "Number of the microphone [the default]")
      ->needs(microphone);
  c->add_option("-m,--model", job.model, "Folder, short name or repository")
      ->capture_default_str();
  c->add_option("-l,--language", o.language, "Code or name; auto detects it");
  c->add_option(
       "--languages", o.languages, "What detection chooses among: en,fr,...")
      ->delimiter(',');
  c->add_option("--task", flags->task, "What to write")
      ->check(CLI::IsMember({"transcribe", "translate"}))
      ->capture_default_str();
  c->add_option(
       "-f,--format",
       flags->format,
       "txt, srt, vtt, tsv, json, verbose_json, several with commas, or all")
      ->capture_default_str();
  c->add_option("-o,--output", job.output, "File, folder or -");
  c->add_flag("-w,--word-timestamps", o.word_timestamps, "Times of words");
  c->add_option("--beam-size", o.beam_size, "Candidates; 1 is greedy")
      ->capture_default_str();
  c->add_option(
      "--enhance", job.enhance, "Clean the sound with this model first");
  c->add_flag("--vad", o.vad, "Hear only speech");
  c->add_option("--batch-size", o.batch_size, "Windows decoded at once")
      ->capture_default_str();
  c->add_option(
      "--prompt,--context",
      o.initial_prompt,
      "Text before the first window; VibeVoice: what to know");
  c->add_flag("--carry-prompt", o.carry_initial_prompt, "Before every window");
  c->add_option("--prefix", o.prefix, "Text that the first window begins with");
  c->add_option("--hotwords", o.hotwords, "Words to expect");
  c->add_flag("--stream", job.live, "Text while it is being said");
  c->add_flag("--real-time", job.real_time, "With --stream: at its own pace")
      ->excludes(microphone);
  c->add_option("--step", job.live_step, "With --stream: seconds between looks")
      ->capture_default_str();
  c->add_option(
       "--raw", flags->raw, "Headerless samples: RATE[,CHANNELS[,s16|s24|f32]]")
      ->excludes(microphone);
  c->add_option("--channel", flags->channel, "Only this channel, from 0")
      ->excludes(microphone);
  c->add_flag("--per-channel", job.per_channel, "Each channel by itself")
      ->excludes(microphone);
  c->add_option("--clip-timestamps", o.clip_timestamps, "start,end,... [s]")
      ->delimiter(',');
  c->add_option("--max-line-width", job.subtitles.max_line_width);
  c->add_option("--max-line-count", job.subtitles.max_line_count);
  c->add_option("--max-words-per-line", job.subtitles.max_words_per_line);
  c->add_flag("--highlight-words", job.subtitles.highlight_words);
  c->add_flag("-q,--quiet", job.quiet, "No progress, no summary");

  auto group = std::string("Decoding");
  c->add_option("--temperature", flags->temperature, "Tried in turn")
      ->delimiter(',')
      ->group(group);
  c->add_option("--best-of", o.best_of, "Samples at temperatures above 0")
      ->group(group);
  c->add_option("--patience", o.patience)->group(group);
  c->add_option("--length-penalty", flags->length_penalty)->group(group);
  c->add_option("--repetition-penalty", o.repetition_penalty)->group(group);
  c->add_option("--suppress-tokens", o.suppress_tokens, "-1: symbols")
      ->delimiter(',')
      ->group(group);
  c->add_option(
       "--max-tokens", o.max_tokens, "Of one window; VibeVoice: of all")
      ->group(group);
  c->add_option("--top-k", o.top_k, "VibeVoice: draw from so many")
      ->group(group);
  c->add_option("--top-p", o.top_p, "VibeVoice: from this probability")
      ->group(group);
  c->add_option("--min-p", o.min_p, "VibeVoice: from this part of the best")
      ->group(group);
  c->add_option(
       "--repetition-context",
       o.repetition_context,
       "VibeVoice: tokens that the penalty looks back")
      ->group(group);
  c->add_option(
       "--chunk-duration",
       o.chunk_duration,
       "VibeVoice streaming: seconds of a chunk")
      ->group(group);
  c->add_option(
       "--text-audio-delay",
       o.text_audio_delay,
       "VibeVoice streaming: seconds heard after it")
      ->group(group);
  c->add_option("--seed", o.seed)->group(group);
  c->add_option("--compression-ratio-threshold", flags->compression_ratio)
      ->group(group);
  c->add_option("--logprob-threshold", flags->logprob)->group(group);
  c->add_option("--no-speech-threshold", flags->no_speech)->group(group);
  c->add_option("--hallucination-silence-threshold", flags->hallucination)
      ->group(group);
  c->add_flag("--no-condition", flags->no_condition, "No text prompts the next")
      ->group(group);
  c->add_flag("--no-timestamps", flags->no_timestamps)->group(group);
  c->add_option("--vad-threshold", o.vad_options.threshold)->group(group);
  c->add_option("--vad-min-silence", o.vad_options.min_silence)->group(group);
  c->add_option("--vad-padding", o.vad_options.padding)->group(group);
  c->add_option("--dtype", job.loading.dtype, "float32, float16 or bfloat16")
      ->group(group);
  c->add_option("--decoder-bits", job.loading.decoder_bits, "0, 4 or 8")
      ->group(group);
  c->callback([flags] { run(*flags); });
}

} // namespace mlx_audio::cli
