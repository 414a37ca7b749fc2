#include "checkpoint/ctranslate2.h"

#include "unit/checkpoint/helpers.h"

namespace mlx_audio::checkpoint {
namespace {

using test::expect_error;
using test::in_memory;

template <class T>
std::string raw(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof(T)};
}

std::string text(const std::string& value) {
  return raw(static_cast<uint16_t>(value.size() + 1)) + value + '\0';
}

std::string variable(
    const std::string& name,
    const std::vector<uint32_t>& shape,
    uint8_t type,
    const std::string& data) {
  std::string bytes = text(name) + raw(static_cast<uint8_t>(shape.size()));
  for (uint32_t size : shape) {
    bytes += raw(size);
  }
  return bytes + raw(type) + raw(static_cast<uint32_t>(data.size())) + data;
}

std::string model(const std::string& variables, uint32_t count) {
  return raw(uint32_t{6}) + text("WhisperSpec") + raw(uint32_t{3}) +
      raw(count) + variables;
}

const std::string no_alias = raw(uint32_t{0});

TEST(CTranslate2, ReadsVariablesAndAliases) {
  std::string bytes = model(
                          variable("w", {2}, 0, raw(1.5f) + raw(-2.0f)) +
                              variable("heads", {}, 2, raw(int16_t{8})),
                          2) +
      raw(uint32_t{1}) + text("tied") + text("w");
  CTranslate2File file(in_memory(bytes));
  EXPECT_EQ(file.spec(), "WhisperSpec");
  ASSERT_EQ(file.tensors().size(), 3u);
  EXPECT_EQ(file.find("heads")->dtype, DType::int16);
  EXPECT_EQ(
      test::values<float>(file.TensorSource::read(*file.find("tied"))),
      (std::vector<float>{1.5f, -2.0f}));
}

TEST(CTranslate2, NamesWhatIsWrong) {
  std::string w = variable("w", {2}, 0, raw(1.0f) + raw(2.0f));
  std::string good = model(w, 1) + no_alias;
  auto open = [](const std::string& bytes) {
    CTranslate2File file(in_memory(bytes));
  };
  open(good);
  expect_error(ErrorKind::unsupported, "version 5", [&] {
    open(raw(uint32_t{5}) + good.substr(4));
  });
  for (size_t size = 0; size < good.size(); ++size) {
    std::string cut = good.substr(0, size);
    EXPECT_THROW(open(cut), Error) << size;
  }
  expect_error(
      ErrorKind::corrupt_data, "bytes follow", [&] { open(good + "x"); });
  expect_error(ErrorKind::corrupt_data, "called 'w'", [&] {
    open(model(w + w, 2) + no_alias);
  });
  expect_error(ErrorKind::corrupt_data, "has no end", [&] {
    open(model(w, 4000000000u) + no_alias);
  });
  expect_error(ErrorKind::corrupt_data, "the type 9", [&] {
    open(model(variable("w", {1}, 9, "1234"), 1) + no_alias);
  });
  expect_error(ErrorKind::corrupt_data, "has 4 bytes", [&] {
    open(model(variable("w", {2}, 0, "1234"), 1) + no_alias);
  });
  expect_error(ErrorKind::corrupt_data, "larger than any file", [&] {
    std::vector<uint32_t> huge(5, 0xffffffff);
    open(model(variable("w", huge, 0, "1234"), 1) + no_alias);
  });
  expect_error(ErrorKind::corrupt_data, "missing 'v'", [&] {
    open(model(w, 1) + raw(uint32_t{1}) + text("tied") + text("v"));
  });
  expect_error(ErrorKind::corrupt_data, "has no end", [&] {
    open(raw(uint32_t{6}) + raw(uint16_t{3}) + "abc");
  });
}

} // namespace
} // namespace mlx_audio::checkpoint
