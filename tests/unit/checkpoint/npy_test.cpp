// The files are made by scripts/make-checkpoint-fixtures with NumPy.
#include "checkpoint/npy.h"

#include <numeric>

#include "unit/checkpoint/helpers.h"

namespace mlx_audio::checkpoint {
namespace {

using test::expect_error;
using test::values;

const std::string folder = TEST_DATA_DIR "/checkpoint/";

template <class T>
std::vector<T> tensor(const NpyFile& file, const std::string& name) {
  const TensorInfo* info = file.find(name);
  if (!info) {
    ADD_FAILURE() << name << " is missing";
    return {};
  }
  return values<T>(file.TensorSource::read(*info));
}

TEST(Npy, ReadsArchives) {
  for (const char* name : {"stored.npz", "packed.npz"}) {
    SCOPED_TRACE(name);
    NpyFile file(folder + name);
    EXPECT_EQ(tensor<float>(file, "a"), (std::vector<float>{0, 1, 2, 3, 4, 5}));
    EXPECT_EQ(
        tensor<int32_t>(file, "f"), (std::vector<int32_t>{0, 1, 2, 3, 4, 5}));
    std::vector<int16_t> cube(24);
    std::iota(cube.begin(), cube.end(), int16_t{0});
    EXPECT_EQ(tensor<int16_t>(file, "cube"), cube);
    EXPECT_EQ(file.find("cube")->shape, (Shape{2, 3, 4}));
    EXPECT_EQ(tensor<double>(file, "scalar"), (std::vector<double>{2.5}));
    EXPECT_TRUE(file.find("scalar")->shape.empty());
    EXPECT_EQ(file.find("half")->dtype, DType::float16);
    EXPECT_TRUE(tensor<uint8_t>(file, "none").empty());
    EXPECT_EQ(file.find("flags")->dtype, DType::boolean);
    EXPECT_EQ(tensor<uint8_t>(file, "layer.weight").size(), 3u);
  }
  NpyFile packed(folder + "packed.npz");
  EXPECT_EQ(tensor<float>(packed, "zeros"), std::vector<float>(10000));
}

TEST(Npy, ReadsOneArray) {
  NpyFile file(folder + "one.npy");
  EXPECT_EQ(
      tensor<int32_t>(file, "data"), (std::vector<int32_t>{0, 1, 2, 3, 4, 5}));
}

NpyHeader parse(std::string text) {
  auto size = static_cast<uint16_t>(text.size());
  text = std::string("\x93NUMPY\x01\x00", 8) +
      std::string(reinterpret_cast<const char*>(&size), 2) + text;
  return parse_npy_header(std::as_bytes(std::span(text)), "array");
}

TEST(Npy, NamesWhatIsWrong) {
  const std::string start = "{'descr': '<f4', 'fortran_order': False, ";
  EXPECT_EQ(parse(start + "'shape': (2, 3), }").shape, (Shape{2, 3}));
  EXPECT_EQ(parse(start + "'shape': (2,), }").shape, (Shape{2}));
  EXPECT_EQ(parse(start + "'shape': ()}").shape, Shape{});
  EXPECT_EQ(
      parse("{'descr': '|V2', 'fortran_order': True, 'shape': ()}").dtype,
      DType::bfloat16);
  for (const std::string bad :
       {"'shape': (-2,)}",
        "'shape': (2 3)}",
        "'shape': (a,)}",
        "'shape': (2,",
        "}",
        "'shape': (2,), 'descr': '<f4'}",
        "'more': (2,)}"}) {
    EXPECT_THROW(parse(start + bad), Error) << bad;
  }
  expect_error(ErrorKind::unsupported, "'|O'", [] {
    NpyFile file(folder + "objects.npy");
  });
  expect_error(ErrorKind::unsupported, "'>f4'", [] {
    NpyFile file(folder + "big_endian.npy");
  });
  std::string all = test::read_file(folder + "packed.npz");
  for (size_t size = 0; size < all.size(); size += 11) {
    std::string cut = all.substr(0, size);
    EXPECT_THROW(NpyFile file(test::in_memory(cut)), Error) << size;
  }
}

TEST(Zip, ProvesTheChecksum) {
  std::string bytes = test::read_file(folder + "stored.npz");
  size_t at = bytes.find("\x93NUMPY") + 128; // the first float of "a"
  bytes[at] = static_cast<char>(bytes[at] + 1);
  NpyFile file(test::in_memory(bytes));
  expect_error(ErrorKind::corrupt_data, "another checksum", [&] {
    (void)file.TensorSource::read(*file.find("a"));
  });
}

// One entry's size in the directory, set to `size`.
std::string with_size(std::string bytes, uint32_t size) {
  size_t at = bytes.find("PK\x01\x02");
  std::memcpy(bytes.data() + at + 24, &size, 4);
  return bytes;
}

TEST(Zip, RefusesBombsAndOverlaps) {
  std::string bytes = test::read_file(folder + "packed.npz");
  std::string bomb = with_size(bytes, 4000000000u);
  expect_error(ErrorKind::corrupt_data, "claims 4000000000 bytes", [&] {
    ZipFile file(test::in_memory(bomb));
  });
  ZipFile good(test::in_memory(bytes));
  expect_error(ErrorKind::too_large, "more than 100", [&] {
    (void)good.read(*good.find("zeros.npy"), 100);
  });
  // Both directory entries point to the first file.
  size_t first = bytes.find("PK\x01\x02");
  size_t second = bytes.find("PK\x01\x02", first + 4);
  std::memcpy(bytes.data() + second + 42, bytes.data() + first + 42, 4);
  expect_error(ErrorKind::corrupt_data, "overlap", [&] {
    ZipFile file(test::in_memory(bytes));
  });
}

} // namespace
} // namespace mlx_audio::checkpoint
