# Warnings, sanitizers and the compiler cache: one interface target that every
# target of ours links privately.
find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
endif()

add_library(mlx_audio_build_flags INTERFACE)
target_compile_options(mlx_audio_build_flags INTERFACE -Wall -Wextra -Werror)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION
                                            VERSION_LESS 13)
  # GCC 12 sees overlapping copies in std::string that cannot be (PR 105329).
  target_compile_options(mlx_audio_build_flags INTERFACE -Wno-restrict)
endif()
if(MLX_AUDIO_SANITIZE)
  list(JOIN MLX_AUDIO_SANITIZE "," sanitizers)
  target_compile_options(
    mlx_audio_build_flags INTERFACE -fsanitize=${sanitizers}
                                    -fno-omit-frame-pointer)
  target_link_options(mlx_audio_build_flags INTERFACE
                      -fsanitize=${sanitizers})
endif()
