#include "checkpoint/license.h"

#include <fstream>

namespace mlx_audio::checkpoint {

std::string license_in(const std::string& folder) {
  std::ifstream card(folder + "/README.md");
  std::string line;
  for (int lines = 0; lines < 100 && std::getline(card, line); ++lines) {
    if (line.rfind("license:", 0) == 0 && line.size() < 80) {
      size_t start = line.find_first_not_of(" \"'", 8);
      size_t end = line.find_last_not_of(" \"'\r");
      return start == std::string::npos ? ""
                                        : line.substr(start, end + 1 - start);
    }
  }
  return "";
}

} // namespace mlx_audio::checkpoint
