// The models on this machine by id, read again when asked for what is not
// known. Safe from any thread. An id never reaches the file system: it is
// looked up among what the store, the Hub's cache and the options hold.
#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "mlx_audio/engine.h"

namespace mlx_audio::engine {

class Library {
 public:
  explicit Library(std::vector<std::pair<std::string, std::string>> folders);

  std::vector<ModelInfo> list();
  /// By id, short name or the repository of a short name.
  /// @throws not_found with names that come near, unsupported for a folder that
  ///   holds no model of a task.
  ModelInfo find(const std::string& id);

 private:
  void read_again();
  const ModelInfo* known(const std::string& id) const;

  std::mutex mutex_;
  std::vector<std::pair<std::string, std::string>> folders_;
  std::map<std::string, ModelInfo> models_;
  std::chrono::steady_clock::time_point read_ = {};
};

} // namespace mlx_audio::engine
