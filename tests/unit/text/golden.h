// Tables of text and phonemes made by misaki 0.9.4 (spaCy 3.8, eSpeak NG 1.52).
#pragma once

#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace mlx_audio::text {

struct GoldenLine {
  std::string kind, text, phonemes;
};

inline std::vector<GoldenLine> read_golden(const std::string& name) {
  std::ifstream in(std::string(TEST_DATA_DIR) + "/text/g2p/" + name + ".tsv");
  std::vector<GoldenLine> out;
  for (std::string line; std::getline(in, line);) {
    size_t a = line.find('\t');
    size_t b = line.find('\t', a + 1);
    if (b == std::string::npos) {
      throw std::runtime_error("bad line in " + name + ": " + line);
    }
    out.push_back(
        {line.substr(0, a), line.substr(a + 1, b - a - 1), line.substr(b + 1)});
  }
  if (out.empty()) {
    throw std::runtime_error("no golden " + name);
  }
  return out;
}

} // namespace mlx_audio::text
