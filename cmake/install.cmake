# A relocatable tree: bin/mlx-audio, lib/libmlx_audio.so and MLX's own library
# beside it in the layout of its wheel, so that its search path holds.
include(CMakePackageConfigHelpers)

set(private_lib ${CMAKE_INSTALL_LIBDIR}/mlx_audio)
get_filename_component(mlx_wheels ${MLX_ROOT} DIRECTORY)

# A build finds MLX where the wheel lies; an installed tree finds it beside.
set_target_properties(
  mlx_audio PROPERTIES INSTALL_RPATH "$ORIGIN/mlx_audio/mlx/lib")
set_target_properties(
  mlx-audio PROPERTIES INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")

install(
  TARGETS mlx_audio
  EXPORT mlx_audioTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS mlx-audio RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY include/mlx_audio DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${MLX_ROOT}/lib/libmlx.so DESTINATION ${private_lib}/mlx/lib)
foreach(libs mlx_cpu.libs mlx_cuda_13.libs mlx_cuda_12.libs)
  if(EXISTS ${mlx_wheels}/${libs})
    install(DIRECTORY ${mlx_wheels}/${libs} DESTINATION ${private_lib})
  endif()
endforeach()

install(
  EXPORT mlx_audioTargets
  NAMESPACE mlx_audio::
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/mlx_audio)
configure_package_config_file(
  cmake/mlx_audioConfig.cmake.in ${CMAKE_BINARY_DIR}/mlx_audioConfig.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/mlx_audio)
write_basic_package_version_file(
  ${CMAKE_BINARY_DIR}/mlx_audioConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/mlx_audioConfig.cmake
              ${CMAKE_BINARY_DIR}/mlx_audioConfigVersion.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/mlx_audio)

# Python mlx-audio's program names.
foreach(name server sts.generate stt.generate tts.generate)
  install(
    CODE "file(CREATE_LINK mlx-audio \$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}/mlx_audio.${name} SYMBOLIC)"
  )
endforeach()
