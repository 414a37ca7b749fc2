// One file of the Hub as a blob of the cache: blobs/HASH, until it is whole
// blobs/HASH.incomplete.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "hub/client.h"
#include "hub/listing.h"

namespace mlx_audio::hub {

struct BlobJob {
  RepoFile file; ///< with its hash
  std::string commit;
  std::string url;
  std::string path; ///< of the blob
  std::string lock_path; ///< huggingface_hub's lock of the same blob
  int connections = 1;
  /// Called with bytes that came, or fewer than 0 if some have to come again.
  std::function<void(int64_t)> received;
};

/// The hash that an answer's x-linked-etag or etag gives; empty if none.
std::string hash_in(const HttpResponse& response);

/// Bytes of the file that need not be fetched: all, or those of an interrupted
/// download, which are always the file's first.
uint64_t blob_bytes_here(const std::string& path, uint64_t size);

/// Fetches a blob unless it is there. Ranges of 8 MB come over several
/// connections and are appended in order, so that an interrupted download can
/// go on (by huggingface_hub as well) and the hash is known at the end.
/// corrupt_data if the bytes are wrong twice.
void fetch_blob(const Client& client, const BlobJob& job);

} // namespace mlx_audio::hub
