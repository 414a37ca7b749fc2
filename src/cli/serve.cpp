#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>

#include "cli/commands.h"
#include "mlx_audio/error.h"
#include "server/access.h"
#include "server/log.h"
#include "server/server.h"

namespace mlx_audio::cli {

namespace {

struct ServeJob {
  server::ServerOptions options;
  std::string key_file;
  std::vector<std::string> models;
  std::string memory_limit;
  std::string log_level = "info";
  bool log_json = false;
};

// "2G", "800M", "1500000000"
uint64_t parse_bytes(const std::string& text) {
  size_t end = 0;
  double value = 0;
  try {
    value = std::stod(text, &end);
  } catch (const std::exception&) {
    end = 0;
  }
  std::string unit = text.substr(end);
  double scale = unit.empty() || unit == "B" ? 1
      : unit == "K" || unit == "KB"          ? 1e3
      : unit == "M" || unit == "MB"          ? 1e6
      : unit == "G" || unit == "GB"          ? 1e9
                                             : 0;
  if (end == 0 || scale == 0 || !(value >= 0) || value * scale > 1e15) {
    throw Error(
        ErrorKind::invalid_argument,
        "'" + text + "' is no amount of memory",
        "give bytes, or a number with K, M or G");
  }
  return static_cast<uint64_t>(value * scale);
}

void run_serve(ServeJob& job) {
  auto& options = job.options;
  if (!job.key_file.empty()) {
    auto keys = server::read_keys(job.key_file);
    options.api_keys.insert(options.api_keys.end(), keys.begin(), keys.end());
  }
  if (const char* key = std::getenv("MLX_AUDIO_API_KEY");
      key != nullptr && *key != '\0') {
    options.api_keys.emplace_back(key);
  }
  if (!job.memory_limit.empty()) {
    options.engine.memory_limit = parse_bytes(job.memory_limit);
  }
  for (const auto& model : job.models) {
    auto equals = model.find('=');
    std::string folder =
        equals == std::string::npos ? model : model.substr(equals + 1);
    std::string id = equals == std::string::npos
        ? std::filesystem::path(folder).lexically_normal().filename().string()
        : model.substr(0, equals);
    options.engine.folders.emplace_back(id, folder);
  }
  server::set_up_log(job.log_level, job.log_json);
  server::Server server(options);
  std::string host = options.host.find(':') == std::string::npos
      ? options.host
      : "[" + options.host + "]";
  std::cout << "mlx-audio serves on http://" << host << ":" << server.port()
            << std::endl;
  server.run();
}

void add_options(CLI::App& app, const std::shared_ptr<ServeJob>& job) {
  auto& o = job->options;
  app.add_option("--host", o.host, "Address to listen on")
      ->capture_default_str();
  app.add_option("--port", o.port, "Port; 0 takes any that is free")
      ->capture_default_str();
  app.add_option(
         "--api-key",
         o.api_keys,
         "Key that clients must send; several "
         "may be given")
      ->allow_extra_args(false);
  app.add_option("--api-key-file", job->key_file, "File with a key a line");
  app.add_flag("--insecure", o.insecure, "Serve other machines without a key");
  app.add_option(
         "--allowed-origins",
         o.allowed_origins,
         "Origins whose pages may use the server (CORS); '*' is all")
      ->delimiter(',');
  app.add_option(
         "--allowed-host",
         o.allowed_hosts,
         "Names besides localhost by which a local server may be called")
      ->allow_extra_args(false);
  app.add_option(
         "--model",
         job->models,
         "A model outside the store: FOLDER or NAME=FOLDER")
      ->allow_extra_args(false);
  app.add_option("--preload", o.preload, "Models to load at the start")
      ->delimiter(',');
  app.add_option(
         "--speech-model",
         o.speech_model,
         "What OpenAI's speech models (tts-1, ...) stand for")
      ->capture_default_str();
  app.add_option(
         "--transcription-model",
         o.transcription_model,
         "What OpenAI's transcription models (whisper-1, ...) stand for")
      ->capture_default_str();
  app.add_option(
      "--memory-limit",
      job->memory_limit,
      "Memory that loaded models may take, e.g. 4G");
  app.add_option(
         "--idle-unload",
         o.engine.idle_seconds,
         "Seconds after which an idle model is unloaded; 0: never")
      ->capture_default_str();
  app.add_option(
         "--queue", o.engine.queue_limit, "Requests at once; more get 429")
      ->capture_default_str();
  app.add_option("--threads", o.threads, "Threads for connections")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  app.add_option("--max-connections", o.max_connections, "Connections at once")
      ->capture_default_str();
  app.add_option("--max-upload", o.max_upload, "Bytes of an upload")
      ->capture_default_str();
  app.add_option("--max-text", o.max_text, "Characters of text to speak")
      ->capture_default_str();
  app.add_option("--max-audio", o.max_audio_seconds, "Seconds of a recording")
      ->capture_default_str();
  app.add_option(
         "--request-timeout",
         o.request_seconds,
         "Seconds that a response may take")
      ->capture_default_str();
  app.add_option(
         "--header-timeout",
         o.header_seconds,
         "Seconds that a request's header may take")
      ->capture_default_str();
  app.add_option(
         "--body-timeout",
         o.body_seconds,
         "Seconds that a request's body may take, and 1 more for 64 KiB")
      ->capture_default_str();
  app.add_option(
         "--write-timeout",
         o.write_seconds,
         "Seconds after which a client that does not read is cut off")
      ->capture_default_str();
  app.add_option(
         "--drain-timeout",
         o.drain_seconds,
         "Seconds that a stop waits for requests")
      ->capture_default_str();
  app.add_option("--dtype", o.engine.load.dtype, "float32, bfloat16, float16");
  app.add_option("--log-level", job->log_level, "What is logged")
      ->check(CLI::IsMember({"debug", "info", "warning", "error", "off"}))
      ->capture_default_str();
  app.add_flag("--log-json", job->log_json, "Log JSON lines");
}

} // namespace

void add_serve_command(CLI::App& app) {
  auto job = std::make_shared<ServeJob>();
  auto* serve = app.add_subcommand(
      "serve", "Serve OpenAI's audio API over HTTP and WebSockets");
  add_options(*serve, job);
  serve->callback([job] { run_serve(*job); });
}

void add_reference_server(CLI::App& app) {
  app.description("Serve OpenAI's audio API, with mlx-audio's flags");
  auto job = std::make_shared<ServeJob>();
  auto& o = job->options;
  o.host = "localhost";
  app.add_option("--host", o.host, "Address to listen on")
      ->capture_default_str();
  app.add_option("--port", o.port, "Port")->capture_default_str();
  app.add_option(
      "--allowed-origins",
      o.allowed_origins,
      "Origins whose pages may use the server");
  app.add_option(
      "--realtime-model", o.transcription_model, "Model of live transcription");
  auto ignored = std::make_shared<std::string>();
  for (const char* name :
       {"--log-dir",
        "--realtime-transcription-delay-ms",
        "--vad-model",
        "--tts-max-batch-size"}) {
    app.add_option(name, *ignored, "Accepted; has no effect here");
  }
  auto flag = std::make_shared<bool>();
  for (const char* name : {"--reload", "--start-ui", "--realtime"}) {
    app.add_flag(name, *flag, "Accepted; has no effect here");
  }
  app.callback([job, ignored, flag] { run_serve(*job); });
}

} // namespace mlx_audio::cli
