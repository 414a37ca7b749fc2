// Counters and histograms in Prometheus' text format. Safe from any thread.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "server/exchange.h"

namespace mlx_audio::server {

class Metrics {
 public:
  using Labels = std::vector<std::pair<std::string, std::string>>;

  void count(const std::string& name, const Labels& labels, double by = 1);
  /// Into the histogram of that name.
  void observe(const std::string& name, const Labels& labels, double value);
  void request_done(
      const std::string& route,
      const std::string& method,
      int status,
      double seconds,
      const Notes& notes);

  struct Gauge {
    std::string name;
    std::string help;
    Labels labels;
    double value;
  };
  /// All of it, after `gauges`, which are read at this moment.
  std::string text(const std::vector<Gauge>& gauges) const;

 private:
  struct Histogram {
    std::vector<uint64_t> buckets;
    double sum = 0;
    uint64_t count = 0;
  };
  mutable std::mutex mutex_;
  std::map<std::string, std::map<std::string, double>> counters_;
  std::map<std::string, std::map<std::string, Histogram>> histograms_;
};

} // namespace mlx_audio::server
