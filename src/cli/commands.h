// One function a subcommand: it adds its options to the app and sets the
// callback that runs it. A new subcommand is one file and one line here and in
// main.cpp.
#pragma once

#include <CLI/CLI.hpp>

namespace mlx_audio::cli {

void add_convert_command(CLI::App& app);

} // namespace mlx_audio::cli
