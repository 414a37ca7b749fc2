#include "nn/config_reader.h"

#include "mlx_audio/error.h"

namespace mlx_audio::nn {

using Json = nlohmann::json;

ConfigReader::ConfigReader(Json object, std::string name)
    : json_(std::move(object)), name_(std::move(name)) {
  if (!json_.is_object()) {
    throw Error(ErrorKind::corrupt_data, name_ + " is not a JSON object");
  }
}

bool ConfigReader::has(const char* field) const {
  return json_.contains(field) && !json_.at(field).is_null();
}

void ConfigReader::refuse(const std::string& field, const std::string& wanted)
    const {
  std::string value =
      json_.contains(field) ? json_.at(field).dump() : "missing";
  if (value.size() > 80) {
    value = value.substr(0, 77) + "...";
  }
  throw Error(
      ErrorKind::corrupt_data,
      name_ + ": '" + field + "' is " + value + ", not " + wanted,
      "fetch the checkpoint's config.json anew");
}

int ConfigReader::integer(
    const char* field,
    int low,
    int high,
    std::optional<int> otherwise /* = std::nullopt */) const {
  if (!has(field) && otherwise) {
    return *otherwise;
  }
  if (!has(field) || !json_.at(field).is_number_integer() ||
      json_.at(field).get<int64_t>() < low ||
      json_.at(field).get<int64_t>() > high) {
    refuse(
        field,
        "an integer of " + std::to_string(low) + ".." + std::to_string(high));
  }
  return json_.at(field).get<int>();
}

double ConfigReader::number(
    const char* field,
    double low,
    double high,
    double otherwise) const {
  if (!has(field)) {
    return otherwise;
  }
  const Json& value = json_.at(field);
  if (!value.is_number() || !(value.get<double>() >= low) ||
      !(value.get<double>() <= high)) {
    refuse(field, "a number of " + Json(low).dump() + ".." + Json(high).dump());
  }
  return value.get<double>();
}

bool ConfigReader::boolean(const char* field, bool otherwise) const {
  if (!has(field)) {
    return otherwise;
  }
  if (!json_.at(field).is_boolean()) {
    refuse(field, "true or false");
  }
  return json_.at(field).get<bool>();
}

std::string ConfigReader::text(const char* field, const std::string& otherwise)
    const {
  if (!has(field)) {
    return otherwise;
  }
  if (!json_.at(field).is_string()) {
    refuse(field, "a string");
  }
  return json_.at(field).get<std::string>();
}

std::vector<int> ConfigReader::integers(const char* field, int low, int high)
    const {
  std::vector<int> list;
  if (!has(field) || !json_.at(field).is_array() || json_.at(field).empty() ||
      json_.at(field).size() > 64) {
    refuse(field, "a list of 1 to 64 integers");
  }
  for (const Json& item : json_.at(field)) {
    if (!item.is_number_integer() || item.get<int64_t>() < low ||
        item.get<int64_t>() > high) {
      refuse(
          field,
          "a list of integers of " + std::to_string(low) + ".." +
              std::to_string(high));
    }
    list.push_back(item.get<int>());
  }
  return list;
}

ConfigReader ConfigReader::object(const char* field) const {
  if (!has(field) || !json_.at(field).is_object()) {
    refuse(field, "an object");
  }
  return {json_.at(field), name_ + "." + field};
}

} // namespace mlx_audio::nn
