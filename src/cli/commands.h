// One function a subcommand: it adds its options to the app and sets the
// callback that runs it. A new subcommand is one file, one line here and one in
// main.cpp.
#pragma once

#include <CLI/CLI.hpp>

namespace mlx_audio::cli {

using AddCommand = void (*)(CLI::App&);

void add_completion_command(CLI::App& app);
void add_convert_command(CLI::App& app);
void add_enhance_command(CLI::App& app);
void add_models_command(CLI::App& app);
void add_serve_command(CLI::App& app);
void add_stt_command(CLI::App& app);
void add_tts_command(CLI::App& app);

// The flags of Python's mlx-audio, for links of its names to this program.
void add_reference_server(CLI::App& app);
void add_reference_sts(CLI::App& app);
void add_reference_stt(CLI::App& app);
void add_reference_tts(CLI::App& app);

} // namespace mlx_audio::cli
