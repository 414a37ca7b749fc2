#include "server/request_id.h"

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <random>

namespace mlx_audio::server {

std::string new_request_id() {
  static std::atomic<uint64_t> counter = std::random_device()();
  thread_local std::mt19937_64 random{counter += 0x9e3779b97f4a7c15};
  char text[40];
  std::snprintf(
      text,
      sizeof(text),
      "req_%016llx%08llx",
      static_cast<unsigned long long>(random()),
      static_cast<unsigned long long>(random() & 0xffffffff));
  return text;
}

} // namespace mlx_audio::server
