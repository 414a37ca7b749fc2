#include <cstddef>
#include <cstdint>

#include "checkpoint/npy.h"
#include "mlx_audio/error.h"

using namespace mlx_audio;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    checkpoint::NpyFile file(
        checkpoint::File::from_memory(
            {reinterpret_cast<const std::byte*>(data), size}, "fuzz"));
    for (const auto& tensor : file.tensors()) {
      (void)file.TensorSource::read(tensor);
    }
  } catch (const Error&) {
  }
  return 0;
}
