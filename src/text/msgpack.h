// A reader for MessagePack as thinc writes it (arrays are maps with the byte
// keys nd, type, shape and data). Every length is checked against the input.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mlx_audio::text {

struct Msgpack {
  enum class Kind { nil, boolean, integer, real, text, array, map };
  Kind kind = Kind::nil;
  uint64_t integer = 0; ///< also booleans
  double real = 0;
  std::string_view text; ///< strings and byte strings, inside the input
  std::vector<Msgpack> items;
  std::vector<Msgpack> keys; ///< of a map's items

  /// @throws Error corrupt_data
  static Msgpack parse(std::string_view bytes);
  /// Value of a string key. @throws Error corrupt_data if it is missing.
  const Msgpack& at(std::string_view key) const;
  /// Raw little-endian float32 data of an array. @throws Error corrupt_data
  std::string_view float_data(size_t count) const;
};

} // namespace mlx_audio::text
