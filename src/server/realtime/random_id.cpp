#include "server/realtime/random_id.h"

#include <array>
#include <cstdint>

#include <sys/random.h>

#include "mlx_audio/error.h"

namespace mlx_audio::server {

std::string random_id(const std::string& prefix) {
  static constexpr char letters[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  constexpr size_t count = 24;
  // Bytes above the last multiple of 62 are left out: all letters are alike.
  constexpr uint8_t fair = 62 * 4;
  std::string id = prefix;
  while (id.size() < prefix.size() + count) {
    std::array<uint8_t, count> bytes = {};
    if (getrandom(bytes.data(), bytes.size(), 0) !=
        static_cast<ssize_t>(bytes.size())) {
      throw Error(ErrorKind::internal, "the system gives no random numbers");
    }
    for (uint8_t byte : bytes) {
      if (byte < fair && id.size() < prefix.size() + count) {
        id += letters[byte % 62];
      }
    }
  }
  return id;
}

} // namespace mlx_audio::server
