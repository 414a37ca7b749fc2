// Signals and measures for the tests of this folder.
#pragma once

#include <stdlib.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <numbers>
#include <random>
#include <string>
#include <vector>

#include "mlx_audio/audio.h"
#include "mlx_audio/error.h"

namespace mlx_audio {

/// A folder that goes with the test.
class TempFolder {
 public:
  TempFolder() {
    std::string name =
        (std::filesystem::temp_directory_path() / "mlx-audio-test-XXXXXX");
    path_ = ::mkdtemp(name.data());
  }
  ~TempFolder() {
    std::filesystem::remove_all(path_);
  }
  std::string operator/(const std::string& name) const {
    return (path_ / name).string();
  }
  size_t entries() const {
    size_t n = 0;
    for ([[maybe_unused]] const auto& entry :
         std::filesystem::directory_iterator(path_)) {
      ++n;
    }
    return n;
  }

 private:
  std::filesystem::path path_;
};

/// Tones that differ by channel, peak 0.6.
inline Audio tones(int rate, int channels, double seconds) {
  Audio audio{{}, rate, channels};
  auto frames = static_cast<size_t>(std::lround(rate * seconds));
  for (size_t i = 0; i < frames; ++i) {
    for (int c = 0; c < channels; ++c) {
      double t = static_cast<double>(i) / rate;
      double f = 440.0 * (c + 1);
      audio.samples.push_back(
          static_cast<float>(
              0.4 * std::sin(2 * std::numbers::pi * f * t) +
              0.2 * std::sin(2 * std::numbers::pi * 1.7 * f * t)));
    }
  }
  return audio;
}

inline Audio noise(int rate, int channels, size_t frames, unsigned seed = 1) {
  std::mt19937 rng(seed);
  std::uniform_real_distribution<float> uniform(-0.9F, 0.9F);
  Audio audio{{}, rate, channels};
  audio.samples.resize(frames * static_cast<size_t>(channels));
  for (float& x : audio.samples) {
    x = uniform(rng);
  }
  return audio;
}

/// 10 log10 of signal over difference, over the shorter of both.
inline double snr_db(
    const std::vector<float>& signal,
    const std::vector<float>& other,
    size_t skip = 0) {
  double power = 0;
  double error = 0;
  for (size_t i = skip; i + skip < std::min(signal.size(), other.size()); ++i) {
    power += double{signal[i]} * signal[i];
    error += (double{signal[i]} - other[i]) * (double{signal[i]} - other[i]);
  }
  return error == 0 ? 999 : 10 * std::log10(power / error);
}

inline std::vector<uint8_t> bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void put_file(
    const std::string& path,
    const std::vector<uint8_t>& bytes) {
  std::ofstream(path, std::ios::binary)
      .write(
          reinterpret_cast<const char*>(bytes.data()),
          static_cast<std::streamsize>(bytes.size()));
}

/// The error that `act` throws; kind internal and "no error" if none.
template <typename Act>
Error error_of(Act act) {
  try {
    act();
  } catch (const Error& error) {
    return error;
  }
  return Error(ErrorKind::internal, "no error");
}

} // namespace mlx_audio
