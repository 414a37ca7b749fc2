// The same bytes as a bare pickle and as a .pt archive.
#include <cstddef>
#include <cstdint>

#include "checkpoint/pickle.h"
#include "checkpoint/torch_file.h"
#include "mlx_audio/error.h"

using namespace mlx_audio;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::span<const std::byte> bytes(
      reinterpret_cast<const std::byte*>(data), size);
  try {
    (void)checkpoint::parse_pickle(bytes, "fuzz");
  } catch (const Error&) {
  }
  try {
    checkpoint::TorchFile file(checkpoint::File::from_memory(bytes, "fuzz"));
    for (const auto& tensor : file.tensors()) {
      (void)file.TensorSource::read(tensor);
    }
  } catch (const Error&) {
  }
  return 0;
}
