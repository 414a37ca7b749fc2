#include "checkpoint/safetensors_writer.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <system_error>

#include "mlx_audio/error.h"

namespace mlx_audio::checkpoint {

namespace {

using json = nlohmann::ordered_json;

class Output {
 public:
  explicit Output(std::string path)
      : path_(std::move(path)), file_(std::fopen(path_.c_str(), "wbx")) {
    if (!file_) {
      fail();
    }
  }

  void write(const void* data, size_t size) {
    if (size > 0 && std::fwrite(data, 1, size, file_.get()) != size) {
      fail();
    }
  }

  void close() {
    if (std::fclose(file_.release()) != 0) {
      fail();
    }
  }

 private:
  [[noreturn]] void fail() const {
    int code = errno;
    throw Error(
        ErrorKind::io,
        "cannot write '" + path_ +
            "': " + std::generic_category().message(code),
        code == ENOSPC ? "free some space on the disk" : "");
  }

  struct Close {
    void operator()(std::FILE* file) const {
      (void)std::fclose(file);
    }
  };
  std::string path_;
  std::unique_ptr<std::FILE, Close> file_;
};

void sort_tensors(std::vector<LazyTensor>& tensors) {
  std::sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) {
    auto rank = [](const LazyTensor& tensor) {
      return tensor.bytes() % 8 == 0 ? 0 : 9 - item_size(tensor.dtype);
    };
    size_t left = rank(a);
    size_t right = rank(b);
    return left != right ? left < right : a.name < b.name;
  });
}

uint64_t total(const std::vector<LazyTensor>& tensors) {
  uint64_t bytes = 0;
  for (const auto& tensor : tensors) {
    bytes += tensor.bytes();
  }
  return bytes;
}

} // namespace

void write_safetensors(
    const std::string& path,
    std::vector<LazyTensor> tensors,
    const std::map<std::string, std::string>& metadata,
    const Progress& progress) {
  sort_tensors(tensors);
  json header = json::object();
  if (!metadata.empty()) {
    header["__metadata__"] = metadata;
  }
  uint64_t at = 0;
  for (const auto& tensor : tensors) {
    if (header.contains(tensor.name)) {
      throw Error(
          ErrorKind::corrupt_data,
          "two tensors are called '" + tensor.name + "'");
    }
    uint64_t end = at + tensor.bytes();
    header[tensor.name] = {
        {"dtype", to_string(tensor.dtype)},
        {"shape", tensor.shape},
        {"data_offsets", {at, end}}};
    at = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  Output out(path);
  uint64_t size = text.size();
  out.write(&size, 8);
  out.write(text.data(), text.size());
  uint64_t done = 0;
  for (const auto& tensor : tensors) {
    Bytes bytes = tensor.load();
    if (bytes.size() != tensor.bytes()) {
      throw Error(
          ErrorKind::internal,
          "tensor '" + tensor.name + "' came with " +
              std::to_string(bytes.size()) + " bytes instead of " +
              std::to_string(tensor.bytes()));
    }
    out.write(bytes.data(), bytes.size());
    done += bytes.size();
    if (progress) {
      progress(done, at);
    }
  }
  out.close();
}

ShardedResult write_sharded_safetensors(
    const std::string& folder,
    std::vector<LazyTensor> tensors,
    uint64_t shard_bytes,
    const std::map<std::string, std::string>& metadata,
    const Progress& progress) {
  std::sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) {
    return a.name < b.name;
  });
  std::vector<std::vector<LazyTensor>> shards(1);
  uint64_t filled = 0;
  ShardedResult result;
  result.total_bytes = total(tensors);
  for (auto& tensor : tensors) {
    uint64_t bytes = tensor.bytes();
    if (filled > 0 && filled + bytes > shard_bytes) {
      shards.emplace_back();
      filled = 0;
    }
    filled += bytes;
    shards.back().push_back(std::move(tensor));
  }
  json index = {
      {"metadata", {{"total_size", result.total_bytes}}},
      {"weight_map", json::object()}};
  uint64_t before = 0;
  for (size_t i = 0; i < shards.size(); ++i) {
    char name[64] = "model.safetensors";
    if (shards.size() > 1) {
      std::snprintf(
          name,
          sizeof(name),
          "model-%05zu-of-%05zu.safetensors",
          i + 1,
          shards.size());
    }
    for (const auto& tensor : shards[i]) {
      index["weight_map"][tensor.name] = name;
    }
    uint64_t shard_total = total(shards[i]);
    write_safetensors(
        folder + "/" + name,
        std::move(shards[i]),
        metadata,
        [&](uint64_t done, uint64_t) {
          if (progress) {
            progress(before + done, result.total_bytes);
          }
        });
    before += shard_total;
    result.files.emplace_back(name);
  }
  std::string text = index.dump(4) + "\n";
  Output out(folder + "/model.safetensors.index.json");
  out.write(text.data(), text.size());
  out.close();
  return result;
}

} // namespace mlx_audio::checkpoint
