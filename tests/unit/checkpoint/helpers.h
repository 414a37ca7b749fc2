// Small helpers of the checkpoint and convert tests.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/file.h"
#include "checkpoint/tensor.h"
#include "mlx_audio/error.h"

namespace mlx_audio::test {

/// A folder of this test, gone with it.
class TempFolder {
 public:
  TempFolder() {
    std::string name =
        (std::filesystem::temp_directory_path() / "mlx-audio-test-XXXXXX")
            .string();
    path_ = ::mkdtemp(name.data());
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  std::string operator/(const std::string& name) const {
    return (path_ / name).string();
  }
  const std::filesystem::path& path() const {
    return path_;
  }

 private:
  std::filesystem::path path_;
};

inline void write_file(const std::string& path, const std::string& bytes) {
  std::filesystem::create_directories(
      std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

inline std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// A file in memory; `bytes` must outlive it.
inline std::shared_ptr<const checkpoint::File> in_memory(
    const std::string& bytes) {
  return checkpoint::File::from_memory(
      std::as_bytes(std::span(bytes)), "memory");
}

template <class T>
std::vector<T> values(const checkpoint::Bytes& bytes) {
  std::vector<T> result(bytes.size() / sizeof(T));
  std::memcpy(result.data(), bytes.data(), result.size() * sizeof(T));
  return result;
}

template <class T>
checkpoint::Bytes bytes_of(const std::vector<T>& list) {
  checkpoint::Bytes result(list.size() * sizeof(T));
  std::memcpy(result.data(), list.data(), result.size());
  return result;
}

/// Runs `call`, which must throw an Error of `kind` whose text has `words`.
template <class Call>
void expect_error(ErrorKind kind, const std::string& words, Call&& call) {
  try {
    call();
    ADD_FAILURE() << "no error with '" << words << "'";
  } catch (const Error& error) {
    EXPECT_EQ(to_string(error.kind()), std::string(to_string(kind)))
        << error.what();
    EXPECT_NE(std::string(error.what()).find(words), std::string::npos)
        << error.what();
  }
}

} // namespace mlx_audio::test
