// The form of an upload: the first line of the input is the boundary.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "server/api_error.h"
#include "server/multipart.h"

using namespace mlx_audio::server;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto line = text.substr(0, text.find('\n'));
  auto body = text.substr(std::min(line.size() + 1, text.size()));
  try {
    Multipart form("multipart/form-data; boundary=" + std::string(line), body);
    for (const auto& part : form.parts()) {
      (void)form.text(part.name);
      (void)form.list(part.name);
      bool inside = part.data.empty() ||
          (part.data.data() >= body.data() &&
           part.data.data() + part.data.size() <= body.data() + body.size());
      if (!inside) {
        __builtin_trap();
      }
    }
  } catch (const ApiError&) {
  }
  return 0;
}
