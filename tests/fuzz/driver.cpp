// A small mutation driver for fuzz targets, for compilers without libFuzzer:
//   target [--seconds N] [--seed N] [seed file or folder]...
// It runs every seed as it is, then mutates seeds until the time is over. The
// input in hand is written beside the program before each run and removed at
// the end, so that a crash leaves its cause behind.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<uint8_t>;

Bytes read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return Bytes(std::istreambuf_iterator<char>(in), {});
}

void mutate(Bytes& bytes, const std::vector<Bytes>& seeds, std::mt19937& rng) {
  static constexpr uint8_t interesting[] = {0, 1, 0x7f, 0x80, 0xfe, 0xff, '"'};
  auto below = [&](size_t n) {
    return std::uniform_int_distribution<size_t>(0, n - 1)(rng);
  };
  for (size_t rounds = 1 + below(6); rounds > 0; --rounds) {
    size_t at = bytes.empty() ? 0 : below(bytes.size());
    switch (below(6)) {
      case 0:
        if (!bytes.empty()) {
          bytes[at] ^= static_cast<uint8_t>(1u << below(8));
        }
        break;
      case 1:
        if (!bytes.empty()) {
          bytes[at] = interesting[below(std::size(interesting))];
        }
        break;
      case 2:
        bytes.insert(
            bytes.begin() + static_cast<std::ptrdiff_t>(at),
            static_cast<uint8_t>(below(256)));
        break;
      case 3:
        bytes.resize(at);
        break;
      case 4:
        for (size_t i = at; i < std::min(at + 8, bytes.size()); ++i) {
          bytes[i] = static_cast<uint8_t>(below(2) ? 0xff : 0);
        }
        break;
      default:
        if (!seeds.empty()) {
          const Bytes& other = seeds[below(seeds.size())];
          if (!other.empty()) {
            size_t from = below(other.size());
            size_t n = std::min<size_t>(64, other.size() - from);
            bytes.insert(
                bytes.begin() + static_cast<std::ptrdiff_t>(at),
                other.begin() + static_cast<std::ptrdiff_t>(from),
                other.begin() + static_cast<std::ptrdiff_t>(from + n));
          }
        }
    }
  }
}

} // namespace

int main(int argc, char** argv) {
  double seconds = 5;
  unsigned seed = 1;
  std::vector<Bytes> seeds;
  for (int i = 1; i < argc; ++i) {
    std::string arg = argv[i];
    if (arg == "--seconds" && i + 1 < argc) {
      seconds = std::atof(argv[++i]);
    } else if (arg == "--seed" && i + 1 < argc) {
      seed = static_cast<unsigned>(std::atoi(argv[++i]));
    } else if (fs::is_directory(arg)) {
      for (const auto& entry : fs::recursive_directory_iterator(arg)) {
        if (entry.is_regular_file()) {
          seeds.push_back(read_file(entry.path()));
        }
      }
    } else {
      seeds.push_back(read_file(arg));
    }
  }
  fs::path crash = std::string(argv[0]) + ".crash";
  auto run = [&](const Bytes& bytes) {
    std::ofstream(crash, std::ios::binary)
        .write(
            reinterpret_cast<const char*>(bytes.data()),
            static_cast<std::streamsize>(bytes.size()));
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  };
  size_t runs = 0;
  for (const Bytes& bytes : seeds) {
    run(bytes);
    ++runs;
  }
  std::mt19937 rng(seed);
  auto end =
      std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (std::chrono::steady_clock::now() < end) {
    Bytes bytes = seeds.empty() ? Bytes{} : seeds[rng() % seeds.size()];
    mutate(bytes, seeds, rng);
    run(bytes);
    ++runs;
  }
  fs::remove(crash);
  std::printf("%zu runs, %zu seeds, no crash\n", runs, seeds.size());
  return 0;
}
