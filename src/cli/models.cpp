// `mlx-audio models`: what is on this machine, and what the Hub has.
#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/commands.h"
#include "cli/models.h"
#include "cli/terminal.h"
#include "hub/download.h"
#include "hub/model_info.h"
#include "hub/store.h"
#include "mlx_audio/error.h"
#include "mlx_audio/speech.h"

namespace mlx_audio::cli {

namespace {

using nlohmann::json;

struct Flags {
  std::string model;
  std::string revision;
  int connections = 4;
  bool all = false;
  bool as_json = false;
};

std::string size_text(uint64_t bytes) {
  auto size = static_cast<double>(bytes);
  return size < 1e9 ? fmt::format("{:.1f} MB", size / 1e6)
                    : fmt::format("{:.2f} GB", size / 1e9);
}

std::string count_text(uint64_t parameters) {
  auto count = static_cast<double>(parameters);
  return parameters == 0 ? "unknown"
      : count < 1e9      ? fmt::format("{:.1f} M", count / 1e6)
                         : fmt::format("{:.2f} B", count / 1e9);
}

json to_json(const std::string& name, const hub::ModelInfo& info) {
  return {
      {"name", name},
      {"architecture", info.architecture},
      {"parameters", info.parameters},
      {"bits_per_weight", info.bits_per_weight},
      {"precision", info.precision},
      {"size_bytes", info.size_bytes},
      {"weight_bytes", info.weight_bytes},
      {"memory_bytes", info.memory_bytes},
      {"license", info.license}};
}

void pull(const Flags& flags) {
  hub::PullOptions options;
  options.revision = flags.revision;
  options.connections = flags.connections;
  options.all_files = flags.all;
  Progress progress;
  options.progress = [&](const hub::PullProgress& now) {
    show_download(progress, now);
  };
  std::string folder = hub::pull_model(flags.model, options);
  progress.clear();
  fmt::print("{}\n", folder);
}

void list(const Flags& flags) {
  json all = json::array();
  auto models = hub::stored_models();
  if (!flags.as_json && models.empty()) {
    fmt::print(
        "no models here yet: 'mlx-audio models pull {}' fetches one\n",
        hub::short_names()[0].name);
    return;
  }
  if (!flags.as_json) {
    fmt::print(
        "{:<44} {:<16} {:>11} {:>6} {:>10}  {}\n",
        "name",
        "architecture",
        "parameters",
        "bits",
        "size",
        "place");
  }
  for (const auto& model : models) {
    hub::ModelInfo info;
    std::string trouble;
    try {
      info = hub::read_model_info(model.path);
    } catch (const Error& error) {
      trouble = error.what(); // one broken model must not hide the others
    }
    if (flags.as_json) {
      json entry = to_json(model.name, info);
      entry["path"] = model.path;
      entry["place"] = model.place;
      entry["error"] = trouble;
      all.push_back(entry);
      continue;
    }
    fmt::print(
        "{:<44} {:<16} {:>11} {:>6.2f} {:>10}  {}\n",
        model.name,
        info.architecture.empty() ? "?" : info.architecture,
        count_text(info.parameters),
        info.bits_per_weight,
        size_text(info.size_bytes),
        trouble.empty() ? model.place : "broken: " + trouble);
  }
  if (flags.as_json) {
    fmt::print("{}\n", all.dump(2));
  }
}

void info(const Flags& flags) {
  std::string folder = hub::find_local_model(flags.model, flags.revision);
  bool here = !folder.empty();
  std::string repo = hub::repo_of(flags.model);
  if (!here && repo.find('/') == std::string::npos) {
    hub::resolve_model(flags.model); // says what is wrong with the name
  }
  hub::ModelInfo info = here ? hub::read_model_info(folder)
                             : hub::fetch_model_info(repo, flags.revision);
  if (flags.as_json) {
    json value = to_json(flags.model, info);
    value["path"] = folder;
    fmt::print("{}\n", value.dump(2));
    return;
  }
  auto line = [](const char* name, const std::string& value) {
    fmt::print("{:<14} {}\n", name, value.empty() ? "unknown" : value);
  };
  line("name", flags.model);
  line(
      here ? "folder" : "on the Hub",
      here ? folder : repo + " ('mlx-audio models pull' fetches it)");
  line("architecture", info.architecture);
  line("parameters", count_text(info.parameters));
  line(
      "bits",
      info.bits_per_weight > 0
          ? fmt::format(
                "{:.2f} a weight{}",
                info.bits_per_weight,
                info.precision.empty() ? "" : " (" + info.precision + ")")
          : "");
  line("size", size_text(info.size_bytes));
  line("memory needed", "about " + size_text(info.memory_bytes));
  line("licence", info.license);
}

void remove(const Flags& flags) {
  fmt::print(
      "removed {}: {} freed\n",
      flags.model,
      size_text(hub::remove_model(flags.model)));
}

void voices(const Flags& flags) {
  LoadOptions options;
  options.revision = flags.revision;
  print_voices(*load_speech_model(flags.model, options));
}

} // namespace

void print_voices(const SpeechModel& model) {
  for (const auto& voice : model.voices()) {
    std::printf(
        "%-16s %-6s %s\n",
        voice.id.c_str(),
        voice.language.c_str(),
        voice.gender.c_str());
  }
}

void show_download(Progress& progress, const hub::PullProgress& now) {
  if (now.waiting_seconds > 0) {
    progress.show(
        -1, fmt::format("the Hub asks to wait {:.0f} s", now.waiting_seconds));
  } else if (now.total_bytes > 0) {
    progress.show(
        static_cast<double>(now.received_bytes) /
            static_cast<double>(now.total_bytes),
        fmt::format(
            "{} of {}  {}",
            size_text(now.received_bytes),
            size_text(now.total_bytes),
            now.file));
  }
}

void add_models_command(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  CLI::App* models =
      app.add_subcommand("models", "Fetch, list, describe and remove models");
  models->require_subcommand(1);
  auto add = [&](const char* name,
                 const char* text,
                 void (*run)(const Flags&),
                 bool named) {
    CLI::App* command = models->add_subcommand(name, text);
    if (named) {
      command
          ->add_option(
              "model", flags->model, "Short name or repository id (ORG/NAME)")
          ->required();
    }
    command->callback([flags, run] { run(*flags); });
    return command;
  };
  auto with_revision = [&](CLI::App* command) {
    command->add_option(
        "--revision", flags->revision, "Branch, tag or commit on the Hub");
    return command;
  };
  CLI::App* fetch = with_revision(add(
      "pull", "Fetch a model from the Hub, or what is new of it", pull, true));
  fetch->add_option("--connections", flags->connections, "Connections at once")
      ->check(CLI::Range(1, 16))
      ->default_val(4);
  fetch->add_flag(
      "--all", flags->all, "Every file, not only those that a model needs");
  add("list", "Models on this machine", list, false)
      ->add_flag("--json", flags->as_json, "Print JSON");
  with_revision(add("info",
                    "Architecture, parameters, bits, memory needed, licence",
                    info,
                    true))
      ->add_flag("--json", flags->as_json, "Print JSON");
  add("rm", "Remove a model from this machine", remove, true);
  with_revision(add("voices", "Voices of a speech model", voices, true));
}

} // namespace mlx_audio::cli
