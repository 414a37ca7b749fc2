#include "server/metrics.h"

#include <array>
#include <cstdio>

namespace mlx_audio::server {

namespace {

constexpr std::array<double, 15> bounds = {
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1,
    2.5,
    5,
    10,
    30,
    60,
    300,
    1800};

const char* help_of(const std::string& name) {
  static const std::map<std::string, const char*> known = {
      {"mlx_audio_requests_total", "Responses by route, method and status."},
      {"mlx_audio_audio_seconds_total", "Seconds of sound made or heard."},
      {"mlx_audio_compute_seconds_total", "Seconds of the device's time."},
      {"mlx_audio_request_seconds", "Time from header to end of response."},
      {"mlx_audio_first_byte_seconds",
       "Time from header to the first byte of the body, for speech the first "
       "audio."},
      {"mlx_audio_queue_seconds", "Time that requests waited for the device."},
      {"mlx_audio_rtf",
       "Device time by seconds of sound; below 1 is faster "
       "than real time."},
      {"mlx_audio_model_loads_total", "Models loaded."}};
  auto found = known.find(name);
  return found == known.end() ? "" : found->second;
}

std::string label_text(const Metrics::Labels& labels) {
  std::string text;
  for (const auto& [name, value] : labels) {
    text += (text.empty() ? "" : ",") + name + "=\"";
    for (char c : value) {
      text += c == '\\' || c == '"' ? std::string("\\") + c
          : c == '\n'               ? "\\n"
                                    : std::string(1, c);
    }
    text += '"';
  }
  return text;
}

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.10g", value);
  return text;
}

std::string braces(const std::string& labels) {
  return labels.empty() ? "" : "{" + labels + "}";
}

std::string head(const std::string& name, const char* type) {
  std::string text;
  if (*help_of(name) != '\0') {
    text = "# HELP " + name + " " + help_of(name) + "\n";
  }
  return text + "# TYPE " + name + " " + type + "\n";
}

} // namespace

void Metrics::count(const std::string& name, const Labels& labels, double by) {
  std::lock_guard lock(mutex_);
  counters_[name][label_text(labels)] += by;
}

void Metrics::observe(
    const std::string& name,
    const Labels& labels,
    double value) {
  std::lock_guard lock(mutex_);
  auto& histogram = histograms_[name][label_text(labels)];
  histogram.buckets.resize(bounds.size());
  for (size_t i = 0; i < bounds.size(); ++i) {
    histogram.buckets[i] += value <= bounds[i] ? 1 : 0;
  }
  histogram.sum += value;
  ++histogram.count;
}

void Metrics::request_done(
    const std::string& route,
    const std::string& method,
    int status,
    double seconds,
    const Notes& notes) {
  count(
      "mlx_audio_requests_total",
      {{"route", route},
       {"method", method},
       {"status", std::to_string(status)}});
  Labels labels = {{"route", route}, {"model", notes.model}};
  observe("mlx_audio_request_seconds", labels, seconds);
  if (notes.model.empty()) {
    return;
  }
  if (notes.first_seconds >= 0) {
    observe("mlx_audio_first_byte_seconds", labels, notes.first_seconds);
  }
  if (notes.queue_seconds >= 0) {
    observe("mlx_audio_queue_seconds", labels, notes.queue_seconds);
  }
  if (notes.audio_seconds > 0) {
    count("mlx_audio_audio_seconds_total", labels, notes.audio_seconds);
    count("mlx_audio_compute_seconds_total", labels, notes.compute_seconds);
    observe(
        "mlx_audio_rtf", labels, notes.compute_seconds / notes.audio_seconds);
  }
}

std::string Metrics::text(const std::vector<Gauge>& gauges) const {
  std::string text;
  std::string last;
  for (const auto& gauge : gauges) {
    if (gauge.name != last) {
      text += "# HELP " + gauge.name + " " + gauge.help + "\n# TYPE " +
          gauge.name + " gauge\n";
      last = gauge.name;
    }
    text += gauge.name + braces(label_text(gauge.labels)) + " " +
        number(gauge.value) + "\n";
  }
  std::lock_guard lock(mutex_);
  for (const auto& [name, series] : counters_) {
    text += head(name, "counter");
    for (const auto& [labels, value] : series) {
      text += name + braces(labels) + " " + number(value) + "\n";
    }
  }
  for (const auto& [name, series] : histograms_) {
    text += head(name, "histogram");
    for (const auto& [labels, histogram] : series) {
      std::string prefix = labels.empty() ? "" : labels + ",";
      for (size_t i = 0; i < bounds.size(); ++i) {
        text += name + "_bucket{" + prefix + "le=\"" + number(bounds[i]) +
            "\"} " + std::to_string(histogram.buckets[i]) + "\n";
      }
      text += name + "_bucket{" + prefix + "le=\"+Inf\"} " +
          std::to_string(histogram.count) + "\n";
      text += name + "_sum" + braces(labels) + " " + number(histogram.sum) +
          "\n" + name + "_count" + braces(labels) + " " +
          std::to_string(histogram.count) + "\n";
    }
  }
  return text;
}

} // namespace mlx_audio::server
