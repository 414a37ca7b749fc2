#include <cstddef>
#include <cstdint>

#include "checkpoint/zip.h"
#include "mlx_audio/error.h"

using namespace mlx_audio;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    checkpoint::ZipFile file(
        checkpoint::File::from_memory(
            {reinterpret_cast<const std::byte*>(data), size}, "fuzz"));
    for (const auto& entry : file.entries()) {
      try {
        (void)file.read_front(entry, 1 << 16);
        (void)file.read(entry, 1 << 20);
      } catch (const Error&) {
      }
    }
  } catch (const Error&) {
  }
  return 0;
}
