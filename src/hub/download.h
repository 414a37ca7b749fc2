// Fetching of a model from the Hub into the cache that Python's huggingface_hub
// shares.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace mlx_audio::hub {

struct PullProgress {
  std::string file; ///< the file that bytes came for last
  uint64_t received_bytes = 0; ///< of all files, with what was there already
  uint64_t total_bytes = 0; ///< of all files; 0 until the listing is read
  double waiting_seconds = 0; ///< above 0 while the Hub asks us to wait
};

struct PullOptions {
  std::string revision; ///< branch, tag or commit; empty: main
  int connections = 4; ///< at once
  bool all_files = false; ///< also those that no model needs (pictures, other
                          ///< formats of the same weights)
  /// Called from the threads that download, one call at a time.
  std::function<void(const PullProgress&)> progress;
  /// Asked often; true ends the download with an error `cancelled`. What has
  /// come so far stays and the next call goes on from there.
  std::function<bool()> cancelled;
};

/// Downloads a model, or what of it is missing or old, and returns the folder
/// of its snapshot. `name` is a short name or a repository id, "ORG/NAME".
/// Every file's hash is proven before it gets its name; the revision points to
/// the snapshot when all files are there. The environment is huggingface_hub's:
/// HF_ENDPOINT, HF_TOKEN (or its file), HF_HUB_OFFLINE,
/// HF_HUB_DOWNLOAD_TIMEOUT, HF_HOME, HF_HUB_CACHE.
/// @throws invalid_argument for a name that is none; not_found for a repository
///   or revision that is missing or hidden; unavailable if the Hub cannot be
///   reached, HF_HUB_OFFLINE is set or the repository is gated; busy if it
///   keeps refusing for too many requests; corrupt_data for wrong bytes or a
///   listing that is unsafe; io if the disk is full; cancelled.
std::string pull_model(
    const std::string& name,
    const PullOptions& options = {});

/// What resolve_model reports to while it downloads: for a program that has a
/// screen. Set it before threads are started.
void show_downloads_with(std::function<void(const PullProgress&)> progress);
const std::function<void(const PullProgress&)>& download_display();

} // namespace mlx_audio::hub
