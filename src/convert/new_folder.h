// An output folder that appears whole or not at all.
#pragma once

#include <filesystem>
#include <string>

namespace mlx_audio::convert {

class NewFolder {
 public:
  /// Makes a folder to work in beside `output`, and removes those that runs
  /// which ended early have left. invalid_argument if `output` exists and holds
  /// anything, io without `bytes` of space.
  NewFolder(const std::string& output, uint64_t bytes);
  /// Removes what was not committed.
  ~NewFolder();
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;

  const std::filesystem::path& path() const {
    return work_;
  }
  void write(const std::string& name, const std::string& text) const;
  void copy(const std::string& name, const std::string& from) const;
  /// Gives the folder its name.
  void commit();

 private:
  std::filesystem::path output_;
  std::filesystem::path work_;
};

} // namespace mlx_audio::convert
