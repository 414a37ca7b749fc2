#include "text/sections.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "mlx_audio/error.h"

namespace mlx_audio::text {

namespace {

// 8 bytes of magic, then a count, then records of a 24-byte name, an offset
// and a size, all 64-bit little-endian.
constexpr char kMagic[9] = "MLXAG2P1";
constexpr size_t kNameBytes = 24;
constexpr size_t kRecordBytes = kNameBytes + 16;

uint64_t read_u64(const char* at) {
  uint64_t v;
  std::memcpy(&v, at, sizeof v);
  return v;
}

} // namespace

SectionFile::SectionFile(const std::string& path) : path_(path) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    throw Error(
        ErrorKind::not_found,
        "cannot open '" + path + "': " + std::strerror(errno),
        "run scripts/fetch-lexicons and build again, or set MLX_AUDIO_DATA");
  }
  struct stat info{};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(fd);
    throw Error(ErrorKind::not_found, "'" + path + "' is not a file");
  }
  size_ = static_cast<size_t>(info.st_size);
  void* map = size_ == 0
      ? MAP_FAILED
      : ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd, 0);
  ::close(fd);
  if (map == MAP_FAILED) {
    throw Error(ErrorKind::corrupt_data, "cannot map '" + path + "'");
  }
  data_ = static_cast<const char*>(map);
  bool good = size_ >= 16 && std::memcmp(data_, kMagic, 8) == 0;
  uint64_t count = good ? read_u64(data_ + 8) : 0;
  good = good && count <= 1024 && 16 + count * kRecordBytes <= size_;
  for (uint64_t i = 0; good && i < count; ++i) {
    const char* record = data_ + 16 + i * kRecordBytes;
    uint64_t offset = read_u64(record + kNameBytes);
    uint64_t size = read_u64(record + kNameBytes + 8);
    good = offset % 64 == 0 && offset <= size_ && size <= size_ - offset;
    std::string name(record, ::strnlen(record, kNameBytes));
    if (good) {
      blocks_[name] = std::string_view(data_ + offset, size);
    }
  }
  if (!good) {
    ::munmap(const_cast<char*>(data_), size_);
    throw Error(
        ErrorKind::corrupt_data,
        "'" + path + "' is not a file of mlx-audio-g2p, or is cut off",
        "delete it and build again");
  }
}

SectionFile::~SectionFile() {
  ::munmap(const_cast<char*>(data_), size_);
}

std::string_view SectionFile::bytes(const std::string& name) const {
  auto it = blocks_.find(name);
  if (it == blocks_.end()) {
    throw Error(
        ErrorKind::corrupt_data,
        "'" + path_ + "' has no block '" + name + "'",
        "delete it and build again");
  }
  return it->second;
}

template <typename T>
std::span<const T> SectionFile::numbers(const std::string& name, size_t count)
    const {
  std::string_view block = bytes(name);
  size_t n = block.size() / sizeof(T);
  if (block.size() % sizeof(T) != 0 || (count != 0 && n != count)) {
    throw Error(
        ErrorKind::corrupt_data,
        "block '" + name + "' of '" + path_ + "' has a wrong size",
        "delete it and build again");
  }
  return {reinterpret_cast<const T*>(block.data()), n};
}

std::span<const float> SectionFile::floats(
    const std::string& name,
    size_t count) const {
  return numbers<float>(name, count);
}

std::span<const uint32_t> SectionFile::u32s(const std::string& name) const {
  return numbers<uint32_t>(name, 0);
}

std::span<const uint64_t> SectionFile::u64s(const std::string& name) const {
  return numbers<uint64_t>(name, 0);
}

void write_sections(
    const std::string& path,
    const std::map<std::string, std::string>& blocks) {
  auto put = [](std::string& out, uint64_t v) {
    out.append(reinterpret_cast<const char*>(&v), sizeof v);
  };
  std::string head(kMagic, 8);
  put(head, blocks.size());
  uint64_t offset = (16 + blocks.size() * kRecordBytes + 63) / 64 * 64;
  for (const auto& [name, bytes] : blocks) {
    std::string field = name.substr(0, kNameBytes);
    field.resize(kNameBytes, '\0');
    head += field;
    put(head, offset);
    put(head, bytes.size());
    offset = (offset + bytes.size() + 63) / 64 * 64;
  }
  std::string temporary = path + ".part";
  std::ofstream out(temporary, std::ios::binary | std::ios::trunc);
  auto pad = [&] {
    static const char zeros[64] = {};
    out.write(zeros, (64 - static_cast<std::streamoff>(out.tellp()) % 64) % 64);
  };
  out << head;
  for (const auto& [name, bytes] : blocks) {
    pad();
    out << bytes;
  }
  out.close();
  std::error_code failed;
  if (out) {
    std::filesystem::rename(temporary, path, failed);
  }
  if (!out || failed) {
    std::filesystem::remove(temporary, failed);
    throw Error(ErrorKind::io, "cannot write '" + path + "'");
  }
}

StringTable::StringTable(const SectionFile& file, const std::string& name)
    : index_(file.u32s(name + ".index")), blob_(file.bytes(name + ".blob")) {
  bool good = !index_.empty() && index_.back() == blob_.size();
  for (size_t i = 0; good && i + 1 < index_.size(); ++i) {
    good = index_[i] < index_[i + 1];
  }
  if (!good) {
    throw Error(
        ErrorKind::corrupt_data,
        "table '" + name + "' of '" + file.path() + "' is damaged",
        "delete it and build again");
  }
}

std::pair<std::string_view, std::string_view> StringTable::entry(
    size_t i) const {
  std::string_view record = blob_.substr(index_[i], index_[i + 1] - index_[i]);
  size_t length = static_cast<unsigned char>(record[0]);
  if (length + 1 > record.size()) {
    return {record.substr(1), std::string_view()};
  }
  return {record.substr(1, length), record.substr(1 + length)};
}

std::string_view StringTable::find(std::string_view key) const {
  size_t low = 0;
  size_t high = size();
  while (low < high) {
    size_t middle = (low + high) / 2;
    auto [name, value] = entry(middle);
    int order = name.compare(key);
    if (order == 0) {
      return value;
    }
    (order < 0 ? low : high) = order < 0 ? middle + 1 : middle;
  }
  return {};
}

void StringTable::add(
    std::map<std::string, std::string>& blocks,
    const std::string& name,
    const std::map<std::string, std::string>& entries) {
  std::string index;
  std::string blob;
  auto put = [&] {
    auto at = static_cast<uint32_t>(blob.size());
    index.append(reinterpret_cast<const char*>(&at), sizeof at);
  };
  for (const auto& [key, value] : entries) {
    if (key.size() > 255) {
      throw Error(ErrorKind::corrupt_data, "key too long: '" + key + "'");
    }
    put();
    blob.push_back(static_cast<char>(key.size()));
    blob += key;
    blob += value;
  }
  put();
  blocks[name + ".index"] = index;
  blocks[name + ".blob"] = blob;
}

} // namespace mlx_audio::text
