// Where models lie and how a name becomes a folder.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace mlx_audio::hub {

/// The local store, ${MLX_AUDIO_HOME:-${XDG_CACHE_HOME:-~/.cache}/mlx-audio}
/// /models. It need not exist.
std::string store_folder();

/// A name of ours for a model on the Hub.
struct ShortName {
  const char* name; ///< e.g. "whisper-base"
  const char* repo; ///< e.g. "mlx-community/whisper-base-asr-fp16"
  bool importable; ///< scripts/import-models makes it without the Hub
};
const std::vector<ShortName>& short_names();

/// The repository that a short name stands for, else `model` itself.
std::string repo_of(const std::string& model);

/// The folder of a model: `model` itself if it is a folder, else the folder of
/// that name in the local store, else its snapshot in the Hugging Face cache,
/// else (unless offline) downloaded from the Hub. `model` may be a short name
/// or a repository id; `revision` is a branch, tag or commit of a repository
/// and empty for "main".
/// @throws not_found if there is none, with names that come near and with how
/// to
///   get the model; unavailable, io or corrupt_data if fetching failed.
std::string resolve_model(
    const std::string& model,
    const std::string& revision = "");

/// The same without the Hub: empty if the model is not on this machine.
std::string find_local_model(
    const std::string& model,
    const std::string& revision = "");

/// Removes what is stored under a name (never a folder given by its path): in
/// the local store, else all revisions in the Hugging Face cache. Returns the
/// bytes that were freed; not_found if there is nothing.
uint64_t remove_model(const std::string& model);

/// Bytes of all files below a folder, links not counted.
uint64_t folder_bytes(const std::string& folder);

struct StoredModel {
  std::string name; ///< what resolve_model takes
  std::string path;
  std::string place; ///< "store" or "hub cache"
};

/// All models on this machine, by name.
std::vector<StoredModel> stored_models();

} // namespace mlx_audio::hub
