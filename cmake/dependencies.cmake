# MLX comes from the Python wheels (headers and libmlx.so), everything else
# from the system.
file(GLOB mlx_site_packages
     ${CMAKE_SOURCE_DIR}/.venv/lib/python3*/site-packages)
find_path(
  MLX_ROOT include/mlx/mlx.h
  HINTS ${mlx_site_packages}
  PATH_SUFFIXES mlx REQUIRED
  DOC "Folder of the mlx wheel that holds include/ and lib/")
add_library(mlx SHARED IMPORTED)
set_target_properties(
  mlx PROPERTIES IMPORTED_LOCATION ${MLX_ROOT}/lib/libmlx.so
                 INTERFACE_SYSTEM_INCLUDE_DIRECTORIES ${MLX_ROOT}/include
                 INTERFACE_INCLUDE_DIRECTORIES ${MLX_ROOT}/include)

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(OpenMP REQUIRED)
find_package(ZLIB REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(CURL REQUIRED)
find_package(Protobuf REQUIRED)
find_package(ICU REQUIRED COMPONENTS uc i18n data)
find_package(Boost 1.81 REQUIRED)
pkg_check_modules(sndfile REQUIRED IMPORTED_TARGET sndfile)
pkg_check_modules(soxr REQUIRED IMPORTED_TARGET soxr)
pkg_check_modules(pcre2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(hwy REQUIRED IMPORTED_TARGET libhwy)
find_library(DNNL_LIBRARY dnnl REQUIRED)
add_library(dnnl SHARED IMPORTED)
set_target_properties(dnnl PROPERTIES IMPORTED_LOCATION ${DNNL_LIBRARY})
