// `mlx-audio completion SHELL`: completion scripts made from the options
// themselves, so that they never lag behind.
#include <iostream>
#include <memory>
#include <sstream>

#include "cli/commands.h"

namespace mlx_audio::cli {

namespace {

std::string options_of(const CLI::App& command) {
  std::string list;
  for (const auto* option : command.get_options()) {
    for (const auto& name : option->get_lnames()) {
      list += "--" + name + " ";
    }
  }
  return list;
}

// bash; zsh reads it through bashcompinit.
std::string bash_script(const CLI::App& root) {
  std::ostringstream out;
  std::string names;
  std::ostringstream cases;
  for (const auto* command : root.get_subcommands({})) {
    names += command->get_name() + " ";
    cases << "    " << command->get_name() << ") words=\""
          << options_of(*command) << "\" ;;\n";
  }
  out << "_mlx_audio() {\n"
      << "  local current=${COMP_WORDS[COMP_CWORD]} words\n"
      << "  case ${COMP_WORDS[1]} in\n"
      << cases.str() << "    *) words=\"" << names << options_of(root)
      << "\" ;;\n"
      << "  esac\n"
      << "  [ \"$COMP_CWORD\" -eq 1 ] && words=\"" << names << options_of(root)
      << "\"\n"
      << "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
      << "}\n"
      << "complete -o default -F _mlx_audio mlx-audio\n";
  return out.str();
}

std::string fish_script(const CLI::App& root) {
  std::ostringstream out;
  for (const auto* command : root.get_subcommands({})) {
    out << "complete -c mlx-audio -n __fish_use_subcommand -a "
        << command->get_name() << " -d '" << command->get_description()
        << "'\n";
    for (const auto* option : command->get_options()) {
      for (const auto& name : option->get_lnames()) {
        out << "complete -c mlx-audio -n '__fish_seen_subcommand_from "
            << command->get_name() << "' -l " << name << "\n";
      }
    }
  }
  return out.str();
}

} // namespace

void add_completion_command(CLI::App& app) {
  auto shell = std::make_shared<std::string>();
  CLI::App* completion = app.add_subcommand(
      "completion", "Print a completion script: bash, zsh or fish");
  completion->add_option("shell", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  completion->footer(
      "Examples:\n"
      "  source <(mlx-audio completion bash)\n"
      "  mlx-audio completion fish > ~/.config/fish/completions/"
      "mlx-audio.fish");
  completion->callback([shell, &app] {
    if (*shell == "fish") {
      std::cout << fish_script(app);
      return;
    }
    if (*shell == "zsh") {
      std::cout << "autoload -U +X bashcompinit && bashcompinit\n";
    }
    std::cout << bash_script(app);
  });
}

} // namespace mlx_audio::cli
