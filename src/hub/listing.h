// What the Hub says is in a repository, checked: a listing is foreign data that
// names paths on this machine.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace mlx_audio::hub {

struct RepoFile {
  std::string path; ///< relative, with '/'
  uint64_t size = 0; ///< bytes; meaningless without a hash
  /// SHA-256 (64 digits) of a file in large-file storage, or git's SHA-1 of a
  /// blob (40); empty if the listing does not say.
  std::string hash;
};

struct Listing {
  std::string commit; ///< 40 hexadecimal digits
  std::vector<RepoFile> files;
  std::string license; ///< as in the model card, or empty
  std::string model_type; ///< of config.json, or empty
  uint64_t parameters = 0; ///< 0 if the Hub does not know
};

/// A path that stays below the folder it is put in: relative, no "." or ".." or
/// empty part, no backslash or control character, at most 1000 bytes.
bool is_safe_path(std::string_view path);

/// 40 or 64 hexadecimal digits in lower case.
bool is_hash(std::string_view text);

/// By its ending: safetensors, npz, pth, pt, bin or onnx.
bool is_weights_file(const std::string& name);

/// Reads the answer of GET /api/models/REPO/revision/REVISION?blobs=true.
/// corrupt_data for no commit, a path that is unsafe, given twice or both file
/// and folder, a hash that is none, or more than 20,000 files.
Listing parse_listing(std::string_view text);

/// Those files that loading or converting a model may read: configs,
/// tokenizers, voices, licence and, per folder, weights in the best form that
/// is there (safetensors, npz, PyTorch, ONNX).
std::vector<RepoFile> needed_files(const std::vector<RepoFile>& files);

} // namespace mlx_audio::hub
