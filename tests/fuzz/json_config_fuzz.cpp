#include <cstddef>
#include <cstdint>

#include "checkpoint/json.h"
#include "mlx_audio/error.h"

using namespace mlx_audio;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    auto value = checkpoint::parse_json(
        {reinterpret_cast<const char*>(data), size}, "fuzz");
    (void)value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  } catch (const Error&) {
  }
  return 0;
}
