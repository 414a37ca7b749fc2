#include "server/realtime/session_config.h"

#include <algorithm>

namespace mlx_audio::server {

namespace {

constexpr size_t max_prompt = 16 << 10; // bytes
constexpr size_t max_words = 200; // keywords or languages
constexpr const char* kLogprobs = "item.input_audio_transcription.logprobs";
constexpr const char* kPending = "item.input_audio_transcription.pending";

// One object of the session with its path, by which errors name fields.
class Section {
 public:
  Section(const Json& object, std::string path)
      : object_(object), fields_(object), path_(std::move(path)) {
    if (!object.is_object()) {
      throw ApiError(
          400, "'" + path_ + "' must be an object", path_, "invalid_type");
    }
  }

  /// Nothing if it is absent; null is there.
  const Json* find(const char* name) const {
    auto found = object_.find(name);
    return found == object_.end() ? nullptr : &*found;
  }
  std::string path(const std::string& name) const {
    return path_ + "." + name;
  }
  [[noreturn]] void wrong(const std::string& name, const std::string& what)
      const {
    throw ApiError(
        400, "'" + path(name) + "' " + what, path(name), "invalid_value");
  }
  void only(std::initializer_list<const char*> names) const {
    for (const auto& item : object_.items()) {
      if (std::find(names.begin(), names.end(), item.key()) == names.end()) {
        auto at = path(item.key().substr(0, 60));
        throw ApiError(
            400, "unknown parameter '" + at + "'", at, "unknown_parameter");
      }
    }
  }
  std::optional<std::string> text(const char* name, size_t most) const {
    return named([&] { return fields_.text(name, most); }, name);
  }
  std::optional<double> number(const char* name, double low, double high)
      const {
    return named([&] { return fields_.number(name, low, high); }, name);
  }
  std::optional<int> integer(const char* name, int low, int high) const {
    auto value = named([&] { return fields_.integer(name, low, high); }, name);
    return value ? std::optional(static_cast<int>(*value)) : std::nullopt;
  }
  std::optional<bool> boolean(const char* name) const {
    return named([&] { return fields_.boolean(name); }, name);
  }
  std::vector<std::string> list(const char* name) const {
    const Json* value = fields_.find(name);
    std::vector<std::string> out;
    if (value == nullptr) {
      return out;
    }
    if (!value->is_array() || value->size() > max_words) {
      wrong(name, "must be a list of at most 200 strings");
    }
    for (const auto& item : *value) {
      if (!item.is_string() || item.get_ref<const std::string&>().empty() ||
          item.get_ref<const std::string&>().size() > max_words) {
        wrong(name, "must be a list of strings of 1 to 200 bytes");
      }
      out.push_back(item.get<std::string>());
    }
    return out;
  }

 private:
  template <class F>
  auto named(const F& read, const char* name) const -> decltype(read()) {
    try {
      return read();
    } catch (const ApiError& error) {
      throw ApiError(
          400, path(name) + ": " + error.what(), path(name), "invalid_value");
    }
  }

  const Json& object_;
  Fields fields_;
  std::string path_;
};

void read_format(SessionConfig& config, const Json& value, const Section& in) {
  Section format(value, in.path("format"));
  format.only({"type", "rate"});
  auto type = format.text("type", 32);
  if (!type) {
    format.wrong("type", "is missing");
  }
  auto rate = format.integer("rate", 1, 1000000);
  if (*type == "audio/pcm") {
    config.format = WireFormat::pcm16;
    config.sample_rate = rate.value_or(24000);
    if (config.sample_rate < 8000 || config.sample_rate > 48000) {
      format.wrong("rate", "must be 24000 (8000 to 48000 work too)");
    }
  } else if (*type == "audio/pcmu" || *type == "audio/pcma") {
    config.format = *type == "audio/pcmu" ? WireFormat::pcmu : WireFormat::pcma;
    config.sample_rate = 8000;
    if (rate.value_or(8000) != 8000) {
      format.wrong("rate", "must be 8000 for " + *type);
    }
  } else {
    format.wrong("type", "must be 'audio/pcm', 'audio/pcmu' or 'audio/pcma'");
  }
}

void read_beta_format(SessionConfig& config, const Section& session) {
  auto name = session.text("input_audio_format", 32).value_or("pcm16");
  config.sample_rate = name == "pcm16" ? 24000 : 8000;
  if (name == "pcm16") {
    config.format = WireFormat::pcm16;
  } else if (name == "g711_ulaw") {
    config.format = WireFormat::pcmu;
  } else if (name == "g711_alaw") {
    config.format = WireFormat::pcma;
  } else {
    session.wrong(
        "input_audio_format", "must be 'pcm16', 'g711_ulaw' or 'g711_alaw'");
  }
}

void read_transcription(
    SessionConfig& config,
    const Json& value,
    const std::string& path,
    const SessionLookup& lookup) {
  if (value.is_null()) {
    config.transcription.reset();
    return;
  }
  Section in(value, path);
  in.only({"model", "language", "languages", "keywords", "prompt", "delay"});
  TranscriptionSettings settings;
  if (config.transcription) {
    settings.name = config.transcription->name;
    settings.model = config.transcription->model;
  }
  if (auto name = in.text("model", 300)) {
    settings.name = *name;
  }
  try {
    settings.model = lookup.model(settings.name);
  } catch (const ApiError& error) {
    throw ApiError(
        error.status(), error.what(), in.path("model"), "model_not_found");
  }
  settings.language = in.text("language", 32).value_or("");
  if (settings.language == "auto") {
    settings.language.clear();
  }
  settings.languages = in.list("languages");
  settings.keywords = in.list("keywords");
  settings.prompt = in.text("prompt", max_prompt).value_or("");
  settings.delay = in.text("delay", 16).value_or("");
  static constexpr const char* delays[] = {
      "", "minimal", "low", "medium", "high", "xhigh"};
  if (std::find(std::begin(delays), std::end(delays), settings.delay) ==
      std::end(delays)) {
    in.wrong("delay", "must be minimal, low, medium, high or xhigh");
  }
  config.transcription = std::move(settings);
}

void read_turns(
    SessionConfig& config,
    const Json& value,
    const std::string& path) {
  if (value.is_null()) {
    config.turn_detection.reset();
    return;
  }
  Section in(value, path);
  auto type = in.text("type", 32).value_or("server_vad");
  if (type == "semantic_vad") {
    in.wrong(
        "type",
        "'semantic_vad' needs a model of turns, and none is built in: use "
        "'server_vad', or null to commit by yourself");
  }
  if (type != "server_vad") {
    in.wrong("type", "must be 'server_vad' (or turn_detection null)");
  }
  in.only(
      {"type",
       "threshold",
       "prefix_padding_ms",
       "silence_duration_ms",
       "create_response",
       "interrupt_response",
       "idle_timeout_ms"});
  if (const Json* idle = in.find("idle_timeout_ms");
      idle != nullptr && !idle->is_null()) {
    in.wrong(
        "idle_timeout_ms",
        "is for sessions that answer; this one only transcribes");
  }
  TurnDetection turns;
  turns.threshold = in.number("threshold", 0, 1).value_or(turns.threshold);
  turns.prefix_padding_ms = in.integer("prefix_padding_ms", 0, 5000)
                                .value_or(turns.prefix_padding_ms);
  turns.silence_duration_ms = in.integer("silence_duration_ms", 0, 30000)
                                  .value_or(turns.silence_duration_ms);
  turns.create_response = in.boolean("create_response");
  turns.interrupt_response = in.boolean("interrupt_response");
  config.turn_detection = turns;
}

void read_noise_reduction(
    SessionConfig& config,
    const Json& value,
    const std::string& path,
    const SessionLookup& lookup) {
  if (value.is_null()) {
    config.noise_reduction.reset();
    return;
  }
  Section in(value, path);
  in.only({"type", "strength"});
  NoiseReduction noise = config.noise_reduction.value_or(NoiseReduction());
  noise.type = in.text("type", 32).value_or(noise.type);
  if (noise.type != "near_field" && noise.type != "far_field") {
    in.wrong("type", "must be 'near_field' or 'far_field'");
  }
  noise.strength = in.number("strength", 0, 1).value_or(noise.strength);
  if (!lookup.noise_reduction()) {
    throw ApiError(
        400,
        "'" + path +
            "' needs an enhancement model, and none is installed: get "
            "MossFormer2 SE, or set it to null",
        path,
        "model_not_found");
  }
  config.noise_reduction = noise;
}

void read_include(SessionConfig& config, const Section& in) {
  config.logprobs = false;
  config.pending = false;
  for (const auto& name : in.list("include")) {
    if (name == kLogprobs) {
      config.logprobs = true;
    } else if (name == kPending) {
      config.pending = true;
    } else {
      in.wrong("include", "knows only '" + std::string(kLogprobs) + "'");
    }
  }
}

Json transcription_json(const SessionConfig& config, bool beta) {
  if (!config.transcription) {
    return nullptr;
  }
  const auto& t = *config.transcription;
  auto add = [](Json& out, const char* name, const auto& value) {
    if (!value.empty()) {
      out[name] = value;
    }
  };
  Json out = {{"model", t.name}};
  add(out, "language", t.language);
  add(out, "prompt", t.prompt);
  if (!beta) {
    add(out, "delay", t.delay);
    add(out, "languages", t.languages);
    add(out, "keywords", t.keywords);
  }
  return out;
}

Json turns_json(const SessionConfig& config) {
  if (!config.turn_detection) {
    return nullptr;
  }
  const auto& t = *config.turn_detection;
  Json out = {
      {"type", "server_vad"},
      {"threshold", t.threshold},
      {"prefix_padding_ms", t.prefix_padding_ms},
      {"silence_duration_ms", t.silence_duration_ms}};
  if (t.create_response) {
    out["create_response"] = *t.create_response;
  }
  if (t.interrupt_response) {
    out["interrupt_response"] = *t.interrupt_response;
  }
  return out;
}

Json noise_json(const SessionConfig& config) {
  if (!config.noise_reduction) {
    return nullptr;
  }
  return {
      {"type", config.noise_reduction->type},
      {"strength", config.noise_reduction->strength}};
}

Json include_json(const SessionConfig& config) {
  Json out = Json::array();
  if (config.logprobs) {
    out.push_back(kLogprobs);
  }
  if (config.pending) {
    out.push_back(kPending);
  }
  return out.empty() ? Json(nullptr) : out;
}

void update_beta(
    SessionConfig& config,
    const Section& session,
    const SessionLookup& lookup) {
  session.only(
      {"id",
       "object",
       "type",
       "expires_at",
       "modalities",
       "client_secret",
       "include",
       "input_audio_format",
       "input_audio_noise_reduction",
       "input_audio_transcription",
       "turn_detection"});
  if (session.find("input_audio_format") != nullptr) {
    read_beta_format(config, session);
  }
  if (const Json* value = session.find("input_audio_transcription")) {
    read_transcription(
        config, *value, session.path("input_audio_transcription"), lookup);
  }
  if (const Json* value = session.find("turn_detection")) {
    read_turns(config, *value, session.path("turn_detection"));
  }
  if (const Json* value = session.find("input_audio_noise_reduction")) {
    read_noise_reduction(
        config, *value, session.path("input_audio_noise_reduction"), lookup);
  }
}

void update_current(
    SessionConfig& config,
    const Section& session,
    const SessionLookup& lookup) {
  auto type = session.text("type", 32);
  if (!type) {
    session.wrong("type", "is missing: it must be 'transcription'");
  }
  if (*type != "transcription") {
    session.wrong(
        "type",
        "must be 'transcription': sessions that answer are not served here");
  }
  session.only({"id", "object", "type", "expires_at", "audio", "include"});
  const Json* audio = session.find("audio");
  if (audio == nullptr || audio->is_null()) {
    return;
  }
  Section outer(*audio, session.path("audio"));
  outer.only({"input"});
  const Json* input = outer.find("input");
  if (input == nullptr || input->is_null()) {
    return;
  }
  Section in(*input, outer.path("input"));
  in.only({"format", "transcription", "noise_reduction", "turn_detection"});
  if (const Json* value = in.find("format"); value && !value->is_null()) {
    read_format(config, *value, in);
  }
  if (const Json* value = in.find("transcription")) {
    read_transcription(config, *value, in.path("transcription"), lookup);
  }
  if (const Json* value = in.find("turn_detection")) {
    read_turns(config, *value, in.path("turn_detection"));
  }
  if (const Json* value = in.find("noise_reduction")) {
    read_noise_reduction(config, *value, in.path("noise_reduction"), lookup);
  }
}

} // namespace

void update_config(
    SessionConfig& config,
    const Json& session,
    bool beta,
    const SessionLookup& lookup) {
  Section section(session, "session");
  SessionConfig changed = config;
  if (beta) {
    update_beta(changed, section, lookup);
  } else {
    update_current(changed, section, lookup);
  }
  if (section.find("include") != nullptr) {
    read_include(changed, section);
  }
  config = std::move(changed);
}

Json config_json(const SessionConfig& config, bool beta) {
  bool pcm = config.format == WireFormat::pcm16;
  bool mu = config.format == WireFormat::pcmu;
  if (beta) {
    return {
        {"object", "realtime.transcription_session"},
        {"input_audio_format",
         pcm ? "pcm16"
             : mu ? "g711_ulaw"
                  : "g711_alaw"},
        {"input_audio_transcription", transcription_json(config, true)},
        {"input_audio_noise_reduction", noise_json(config)},
        {"turn_detection", turns_json(config)},
        {"include", include_json(config)}};
  }
  Json format = {
      {"type",
       pcm ? "audio/pcm"
           : mu ? "audio/pcmu"
                : "audio/pcma"}};
  if (pcm) {
    format["rate"] = config.sample_rate;
  }
  return {
      {"type", "transcription"},
      {"object", "realtime.transcription_session"},
      {"audio",
       {{"input",
         {{"format", format},
          {"transcription", transcription_json(config, false)},
          {"noise_reduction", noise_json(config)},
          {"turn_detection", turns_json(config)}}}}},
      {"include", include_json(config)}};
}

} // namespace mlx_audio::server
