#include "checkpoint/json.h"

#include "checkpoint/file.h"
#include "mlx_audio/error.h"

namespace mlx_audio::checkpoint {

using nlohmann::json;

json parse_json(std::string_view text, const std::string& name) {
  auto fail = [&](const std::string& what) -> Error {
    return {ErrorKind::corrupt_data, "'" + name + "' " + what};
  };
  if (text.size() > 64'000'000) {
    throw fail("has " + std::to_string(text.size()) + " bytes of JSON");
  }
  bool deep = false;
  json value = json::parse(
      text.begin(),
      text.end(),
      [&](int depth, json::parse_event_t, json&) {
        deep = deep || depth > 64;
        return !deep;
      },
      false);
  if (deep) {
    throw fail("nests more than 64 levels deep");
  }
  if (!value.is_object()) {
    throw fail("is no JSON object");
  }
  return value;
}

json read_json(const std::string& path) {
  auto file = File::open(path);
  return parse_json(
      {reinterpret_cast<const char*>(file->data().data()), file->size()}, path);
}

bool is_model_type(const json& config, std::string_view type) {
  auto found = config.find("model_type");
  return found != config.end() && *found == type;
}

} // namespace mlx_audio::checkpoint
