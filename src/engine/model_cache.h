// The models that are loaded: shared by requests, unloaded by age, by request
// or to make room. Belongs to the engine's thread, but for loaded().
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "mlx_audio/engine.h"

namespace mlx_audio::engine {

class ModelCache {
 public:
  explicit ModelCache(const EngineOptions& options) : options_(options) {}
  ~ModelCache();

  /// The model, loaded if it must be. Nothing if there is no room until models
  /// in use become free. @param can_wait whether any will.
  /// @throws Error out_of_memory if there is no room, not_found, internal (it
  ///   cannot be loaded; says why).
  std::shared_ptr<LoadedModel> get(const ModelInfo& info, bool can_wait);

  /// Removes a model; who uses it keeps it until the end.
  void unload(const std::string& id);
  void unload_all();
  /// Removes what has been idle for too long.
  void unload_idle();

  /// Bytes by id. Safe from any thread.
  std::map<std::string, uint64_t> loaded() const;

 private:
  using Clock = std::chrono::steady_clock;
  struct Entry {
    std::shared_ptr<LoadedModel> model;
    ModelInfo info;
    uint64_t bytes = 0;
    Clock::time_point used;
    bool idle() const {
      return model.use_count() == 1;
    }
  };

  bool make_room(uint64_t bytes);
  void remove(std::map<std::string, Entry>::iterator entry);
  uint64_t total() const;
  void publish();

  const EngineOptions& options_;
  std::map<std::string, Entry> entries_;
  std::map<std::string, uint64_t> measured_; // of earlier loads
  mutable std::mutex mutex_;
  std::map<std::string, uint64_t> loaded_;
};

/// Resident bytes of this process.
uint64_t resident_bytes();

} // namespace mlx_audio::engine
