#include <exception>
#include <iostream>

#include "cli/commands.h"
#include "mlx_audio/error.h"

int main(int argc, char** argv) {
  CLI::App app("Speech on MLX: speak, transcribe, enhance, convert, serve");
  app.name("mlx-audio");
  app.require_subcommand(0, 1);
  mlx_audio::cli::add_convert_command(app);
  try {
    app.parse(argc, argv);
    return 0;
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  } catch (const mlx_audio::Error& error) {
    std::cerr << "mlx-audio: " << error.what() << '\n';
    if (!error.hint().empty()) {
      std::cerr << "  " << error.hint() << '\n';
    }
    return mlx_audio::exit_code(error.kind());
  } catch (const std::exception& error) {
    std::cerr << "mlx-audio: " << error.what() << '\n';
    return 1;
  }
}
