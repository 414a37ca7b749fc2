#include "text/nearest.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace mlx_audio::text {

size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row.back();
}

std::string nearest_names(
    const std::string& name,
    const std::vector<std::string>& names) {
  if (name.size() > 100) {
    return "";
  }
  std::vector<std::pair<size_t, std::string>> near;
  for (const auto& other : names) {
    size_t distance = edit_distance(name, other);
    if (distance <= std::max<size_t>(2, name.size() / 3)) {
      near.emplace_back(distance, other);
    }
  }
  std::sort(near.begin(), near.end());
  std::string list;
  for (size_t i = 0; i < std::min<size_t>(3, near.size()); ++i) {
    list += (i ? ", '" : "'") + near[i].second + "'";
  }
  return list;
}

} // namespace mlx_audio::text
