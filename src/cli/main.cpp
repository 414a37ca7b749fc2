#include <csignal>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <iostream>

#include <unistd.h>

#include "cli/commands.h"
#include "cli/models.h"
#include "mlx_audio/audio.h"
#include "mlx_audio/error.h"
#include "version.h"

namespace {

using mlx_audio::cli::AddCommand;

// Names under which Python's mlx-audio installs its programs; a link of that
// name to this program takes that program's flags.
struct ReferenceName {
  const char* name;
  AddCommand add;
};
constexpr ReferenceName reference_names[] = {
    {"mlx_audio.server", mlx_audio::cli::add_reference_server},
    {"mlx_audio.sts.generate", mlx_audio::cli::add_reference_sts},
    {"mlx_audio.stt.generate", mlx_audio::cli::add_reference_stt},
    {"mlx_audio.tts.generate", mlx_audio::cli::add_reference_tts},
};

void add_all(CLI::App& app) {
  app.description("Speech on MLX: speak, transcribe, enhance, convert, serve");
  app.name("mlx-audio");
  app.set_version_flag("--version", MLX_AUDIO_VERSION);
  app.require_subcommand(0, 1);
  mlx_audio::cli::add_tts_command(app);
  mlx_audio::cli::add_stt_command(app);
  mlx_audio::cli::add_enhance_command(app);
  mlx_audio::cli::add_convert_command(app);
  mlx_audio::cli::add_models_command(app);
  mlx_audio::cli::add_serve_command(app);
  mlx_audio::cli::add_completion_command(app);
}

extern "C" void stop_now(int signal) {
  mlx_audio::remove_unfinished_files();
  _exit(128 + signal);
}

int report(const mlx_audio::Error& error) {
  std::cerr << "mlx-audio: " << error.what() << '\n';
  if (!error.hint().empty()) {
    std::cerr << "  " << error.hint() << '\n';
  }
  return mlx_audio::exit_code(error.kind());
}

} // namespace

int main(int argc, char** argv) {
  std::signal(SIGINT, stop_now);
  std::signal(SIGTERM, stop_now);
  std::signal(SIGPIPE, SIG_IGN); // a reader that left is an io error

  CLI::App app;
  std::string name = std::filesystem::path(argv[0]).filename().string();
  AddCommand add = add_all;
  for (const auto& reference : reference_names) {
    if (name == reference.name) {
      app.name(name);
      add = reference.add;
    }
  }
  try {
    // A model that is fetched on the way shows how far it is.
    mlx_audio::cli::Progress progress;
    mlx_audio::hub::show_downloads_with(
        [&](const mlx_audio::hub::PullProgress& now) {
          mlx_audio::cli::show_download(progress, now);
          if (now.received_bytes == now.total_bytes) {
            progress.clear();
          }
        });
    add(app);
    app.parse(argc, argv);
    if (add == add_all && app.get_subcommands().empty()) {
      std::cout << app.help();
    }
    std::cout.flush();
    return 0;
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  } catch (const mlx_audio::Error& error) {
    return report(error);
  } catch (const std::bad_alloc&) {
    return report(
        {mlx_audio::ErrorKind::out_of_memory, "there is not enough memory"});
  } catch (const std::exception& error) {
    return report({mlx_audio::ErrorKind::internal, error.what()});
  }
}
