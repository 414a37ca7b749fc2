// Fields of a checkpoint's config.json, bounded: the file is foreign bytes, and
// a size that is believed becomes memory.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace mlx_audio::nn {

class ConfigReader {
 public:
  /// @param name what errors call the object, e.g. "config.json".
  ConfigReader(nlohmann::json object, std::string name);

  bool has(const char* field) const; // present and not null

  /// An integer of low..high. Without a default it must be there.
  int integer(
      const char* field,
      int low,
      int high,
      std::optional<int> otherwise = std::nullopt) const;
  double number(const char* field, double low, double high, double otherwise)
      const;
  bool boolean(const char* field, bool otherwise) const;
  std::string text(const char* field, const std::string& otherwise) const;
  /// 1 to 64 integers of low..high.
  std::vector<int> integers(const char* field, int low, int high) const;
  /// An object, which must be there.
  ConfigReader object(const char* field) const;

  const nlohmann::json& json() const {
    return json_;
  }
  const std::string& name() const {
    return name_;
  }

  /// Throws corrupt_data: "<name>: '<field>' is ..., not <wanted>".
  [[noreturn]] void refuse(const std::string& field, const std::string& wanted)
      const;

 private:
  nlohmann::json json_;
  std::string name_;
};

} // namespace mlx_audio::nn
