// mlx-audio-g2p: compiles the data files of the English front end at build
// time. Usage: mlx-audio-g2p SOURCES OUTPUT, where SOURCES holds misaki/ and
// en_core_web_sm/ as scripts/fetch-lexicons leaves them.
#include <cstdio>
#include <filesystem>
#include <string>

#include "mlx_audio/error.h"
#include "text/g2p_compile.h"

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: mlx-audio-g2p SOURCES OUTPUT\n");
    return 2;
  }
  std::string from = argv[1];
  std::string to = argv[2];
  try {
    std::filesystem::create_directories(to);
    for (const char* accent : {"us", "gb"}) {
      mlx_audio::text::compile_lexicon(
          from + "/misaki/" + accent + "_gold.json",
          from + "/misaki/" + accent + "_silver.json",
          to + "/en_" + accent + ".bin");
    }
    mlx_audio::text::compile_tagger(
        from + "/en_core_web_sm", to + "/en_tagger.bin");
  } catch (const mlx_audio::Error& e) {
    std::fprintf(stderr, "mlx-audio-g2p: %s\n", e.what());
    return mlx_audio::exit_code(e.kind());
  } catch (const std::exception& e) {
    std::fprintf(stderr, "mlx-audio-g2p: %s\n", e.what());
    return 1;
  }
  return 0;
}
