#include "nn/taps.h"

#include <cstdio>
#include <filesystem>
#include <unordered_map>

#include "mlx_audio/error.h"

namespace mlx_audio::nn {

namespace {

std::string dump_folder;
int dumped = 0;

} // namespace

void Taps::put(const std::string& name, const mx::array& value) {
  if (values_.insert_or_assign(name, value).second) {
    names_.push_back(name);
  }
}

void Taps::save(const std::string& path) const {
  std::unordered_map<std::string, mx::array> arrays;
  std::string order;
  for (const auto& name : names_) {
    arrays.emplace(
        name, mx::contiguous(mx::astype(values_.at(name), mx::float32)));
    order += (order.empty() ? "" : ",") + name;
  }
  try {
    mx::save_safetensors(path, arrays, {{"order", order}});
  } catch (const std::exception& error) {
    throw Error(ErrorKind::io, "cannot write '" + path + "': " + error.what());
  }
}

void set_dump_folder(const std::string& folder) {
  dump_folder = folder;
  dumped = 0;
  std::error_code error;
  if (!folder.empty() &&
      (std::filesystem::create_directories(folder, error), error)) {
    throw Error(
        ErrorKind::io,
        "cannot make the folder '" + folder + "': " + error.message());
  }
}

bool dumping() {
  return !dump_folder.empty();
}

void dump(const Taps& taps) {
  char name[32];
  std::snprintf(name, sizeof(name), "/%03d.safetensors", dumped++);
  taps.save(dump_folder + name);
}

int dump_count() {
  return dumped;
}

} // namespace mlx_audio::nn
