// The cache that Python's huggingface_hub uses too (its "Understand caching"
// page): models--ORG--NAME/{refs/REVISION, snapshots/COMMIT/, blobs/ETAG}, the
// snapshots being links into blobs.
#pragma once

#include <string>
#include <vector>

namespace mlx_audio::hub {

/// ${HF_HUB_CACHE:-${HF_HOME:-${XDG_CACHE_HOME:-~/.cache}/huggingface}/hub}.
std::string cache_folder();

/// "ORG/NAME" or "NAME": letters, digits, '.', '-' and '_', no "..", at most 96
/// characters.
bool is_repo_id(const std::string& text);

/// A branch, tag or commit that is safe as a file name below refs/.
bool is_revision(const std::string& text);

/// models--ORG--NAME in the cache.
std::string repo_folder(const std::string& repo);

/// The commit that a revision was last seen at, or the revision itself if it is
/// a commit that is cached; empty if neither.
std::string cached_commit(const std::string& repo, const std::string& revision);

/// The snapshot's folder if it is there and has a config.json; else empty.
std::string cached_snapshot(
    const std::string& repo,
    const std::string& revision);

/// Whether a snapshot has its config and weights: all shards of its index, or
/// at least one weights file. One that Python fetched in part has not.
bool is_whole_snapshot(const std::string& folder);

/// Repository ids of all models in the cache.
std::vector<std::string> cached_repos();

} // namespace mlx_audio::hub
