#include "engine/model_cache.h"

#include <cstdio>
#include <new>

#include <malloc.h>
#include <unistd.h>

#include "engine/model_folder.h"
#include "mlx/mlx.h"

namespace mlx_audio::engine {

namespace {

std::string megabytes(uint64_t bytes) {
  return std::to_string((bytes + 999'999) / 1'000'000) + " MB";
}

void give_memory_back() {
  mlx::core::clear_cache();
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

// For requests: they may know the model's name, not where it lies.
Error load_error(const ModelInfo& info, const std::exception& error) {
  std::string text = error.what();
  size_t at = text.find(info.path);
  while (at != std::string::npos) {
    text.replace(at, info.path.size(), info.id);
    at = text.find(info.path, at + info.id.size()); // a name may hold its path
  }
  ErrorKind kind = ErrorKind::internal;
  std::string hint;
  if (const auto* ours = dynamic_cast<const Error*>(&error)) {
    hint = ours->hint();
    if (ours->kind() == ErrorKind::out_of_memory ||
        ours->kind() == ErrorKind::unavailable ||
        ours->kind() == ErrorKind::not_found) {
      kind = ours->kind();
    }
  } else if (
      dynamic_cast<const std::bad_alloc*>(&error) != nullptr ||
      text.find("allocate") != std::string::npos) { // as MLX says it
    kind = ErrorKind::out_of_memory;
  }
  return {kind, "model '" + info.id + "' cannot be loaded: " + text, hint};
}

} // namespace

uint64_t resident_bytes() {
  unsigned long total = 0;
  unsigned long resident = 0;
  if (FILE* file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%lu %lu", &total, &resident) != 2) {
      resident = 0;
    }
    std::fclose(file);
  }
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

ModelCache::~ModelCache() {
  unload_all();
}

std::shared_ptr<LoadedModel> ModelCache::get(
    const ModelInfo& info,
    bool can_wait) {
  auto found = entries_.find(info.id);
  if (found != entries_.end()) {
    found->second.used = Clock::now();
    return found->second.model;
  }
  auto known = measured_.find(info.id);
  uint64_t needed = known == measured_.end() ? info.size_bytes : known->second;
  if (!make_room(needed)) {
    if (can_wait && needed <= options_.memory_limit) {
      return nullptr;
    }
    throw Error(
        ErrorKind::out_of_memory,
        "model '" + info.id + "' needs " + megabytes(needed) +
            ", but models may take " + megabytes(options_.memory_limit) +
            " and " + megabytes(total()) + " are in use",
        "raise --memory-limit, or unload a model");
  }
  if (options_.on_model) {
    options_.on_model("load", info, "");
  }
  uint64_t before = resident_bytes();
  std::shared_ptr<LoadedModel> model;
  try {
    model = load_model(info, options_.load);
  } catch (const std::exception& error) {
    give_memory_back();
    if (options_.on_model) {
      options_.on_model("load_failed", info, error.what());
    }
    throw load_error(info, error);
  }
  uint64_t after = resident_bytes();
  uint64_t bytes =
      std::max(info.size_bytes, after > before ? after - before : 0);
  measured_[info.id] = bytes;
  entries_[info.id] = {model, info, bytes, Clock::now()};
  make_room(0);
  publish();
  if (options_.on_model) {
    ModelInfo loaded = info;
    loaded.loaded = true;
    loaded.memory_bytes = bytes;
    options_.on_model("loaded", loaded, "");
  }
  return model;
}

bool ModelCache::make_room(uint64_t bytes) {
  if (options_.memory_limit == 0) {
    return true;
  }
  while (total() + bytes > options_.memory_limit) {
    auto oldest = entries_.end();
    for (auto it = entries_.begin(); it != entries_.end(); ++it) {
      if (it->second.idle() &&
          (oldest == entries_.end() || it->second.used < oldest->second.used)) {
        oldest = it;
      }
    }
    if (oldest == entries_.end()) {
      return false;
    }
    remove(oldest);
  }
  return true;
}

void ModelCache::remove(std::map<std::string, Entry>::iterator entry) {
  ModelInfo info = entry->second.info;
  entries_.erase(entry);
  give_memory_back();
  publish();
  if (options_.on_model) {
    options_.on_model("unload", info, "");
  }
}

void ModelCache::unload(const std::string& id) {
  auto found = entries_.find(id);
  if (found != entries_.end()) {
    remove(found);
  }
}

void ModelCache::unload_all() {
  while (!entries_.empty()) {
    remove(entries_.begin());
  }
}

void ModelCache::unload_idle() {
  if (options_.idle_seconds <= 0) {
    return;
  }
  auto old = Clock::now() -
      std::chrono::duration_cast<Clock::duration>(
                 std::chrono::duration<double>(options_.idle_seconds));
  for (auto it = entries_.begin(); it != entries_.end();) {
    auto next = std::next(it);
    if (!it->second.idle()) {
      it->second.used = Clock::now();
    } else if (it->second.used <= old) {
      remove(it);
    }
    it = next;
  }
}

uint64_t ModelCache::total() const {
  uint64_t sum = 0;
  for (const auto& [id, entry] : entries_) {
    sum += entry.bytes;
  }
  return sum;
}

void ModelCache::publish() {
  std::lock_guard lock(mutex_);
  loaded_.clear();
  for (const auto& [id, entry] : entries_) {
    loaded_[id] = entry.bytes;
  }
}

std::map<std::string, uint64_t> ModelCache::loaded() const {
  std::lock_guard lock(mutex_);
  return loaded_;
}

} // namespace mlx_audio::engine
