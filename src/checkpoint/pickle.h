// A reader of Python pickles (protocols 2 to 5, PEP 3154) that runs nothing: it
// builds plain values, knows the few calls that PyTorch's state dictionaries
// are made of, and refuses every other one by name.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace mlx_audio::checkpoint {

struct PickleValue {
  enum class Kind : uint8_t {
    none,
    boolean, ///< integer is 0 or 1
    integer,
    real,
    text, ///< str or bytes
    tuple, ///< items
    list, ///< items
    dict, ///< items: key, value, key, value, ..
    global, ///< text is "module name"; allowed ones only
    storage, ///< a persistent id: items are what it is made of
    tensor, ///< _rebuild_tensor_v2 or _v3: items are its arguments
  };
  Kind kind = Kind::none;
  int64_t integer = 0;
  double real = 0;
  std::string text;
  std::vector<uint32_t> items; ///< positions in Pickle::values
};

struct Pickle {
  std::vector<PickleValue> values;
  uint32_t root = 0;
  uint64_t size = 0; ///< bytes read

  const PickleValue& operator[](uint32_t at) const {
    return values[at];
  }
};

/// @param name what errors call it.
/// @throws corrupt_data for bytes that are no pickle, unsupported for one that
///   calls or names anything not known here, too_large for more than 64 MB or
///   2 million values.
Pickle parse_pickle(std::span<const std::byte> bytes, const std::string& name);

} // namespace mlx_audio::checkpoint
