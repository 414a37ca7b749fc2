// How the server is set up; `mlx-audio serve --help` documents each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "mlx_audio/engine.h"

namespace mlx_audio::server {

struct ServerOptions {
  std::string host = "127.0.0.1";
  uint16_t port = 8000; ///< 0: any that is free
  int threads = 2; ///< for connections; the engine has its own

  std::vector<std::string> api_keys = {};
  bool insecure = false; ///< serve others than this machine without a key
  std::vector<std::string> allowed_origins = {}; ///< "*": all
  std::vector<std::string> allowed_hosts = {}; ///< names besides this machine's

  std::string speech_model = "kokoro"; ///< stands for OpenAI's names
  std::string transcription_model = "whisper-base";
  std::vector<std::string> preload = {};

  size_t max_connections = 4096;
  size_t max_upload = size_t{100} << 20; ///< bytes of a multipart body
  size_t max_json = size_t{32} << 20; ///< bytes of a JSON body
  size_t max_text = 4096; ///< characters of text to speak; OpenAI's limit
  double max_audio_seconds = 4 * 3600; ///< of one recording
  size_t max_uploads_in_memory = size_t{1} << 30; ///< bytes of all bodies

  double header_seconds = 15; ///< to send a request's header
  double idle_seconds = 75; ///< between two requests of a connection
  double body_seconds = 30; ///< to send a body, more by 1 s for each 64 KiB
  double write_seconds = 60; ///< that a client may not take anything
  double request_seconds = 3600; ///< that a response may take
  double drain_seconds = 30; ///< that a stop waits for requests

  EngineOptions engine = {};
};

} // namespace mlx_audio::server
