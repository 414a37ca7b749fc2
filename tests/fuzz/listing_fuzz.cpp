#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "hub/listing.h"
#include "mlx_audio/error.h"

using namespace mlx_audio;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    auto listing =
        hub::parse_listing({reinterpret_cast<const char*>(data), size});
    for (const auto& file : hub::needed_files(listing.files)) {
      if (!hub::is_safe_path(file.path)) {
        std::abort();
      }
    }
  } catch (const Error&) {
  }
  return 0;
}
