// What a client sends besides forms: an address in the first line, then a JSON
// body whose fields are read as every type, and base64.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "server/base64.h"
#include "server/json.h"
#include "server/router.h"

using namespace mlx_audio::server;

namespace {

template <class F>
void quietly(F work) {
  try {
    work();
  } catch (const ApiError& error) {
    (void)error.body();
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto line = text.substr(0, text.find('\n'));
  auto body = text.substr(std::min(line.size() + 1, text.size()));
  quietly([&] {
    Request request;
    parse_target(line, request);
  });
  quietly([&] { from_base64(body, "field"); });
  quietly([&] {
    Json object = parse_object(body);
    Fields fields(object);
    for (const auto& [name, value] : object.items()) {
      const char* key = name.c_str();
      quietly([&] { fields.text(key, 100); });
      quietly([&] { fields.number(key, -1, 1); });
      quietly([&] { fields.integer(key, 0, 10); });
      quietly([&] { fields.boolean(key); });
    }
    (void)dump(object);
  });
  return 0;
}
