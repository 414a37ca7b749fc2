#include "checkpoint/safetensors.h"

#include "checkpoint/safetensors_writer.h"
#include "unit/checkpoint/helpers.h"

namespace mlx_audio::checkpoint {
namespace {

using test::expect_error;
using test::in_memory;

std::string file_of(const std::string& header, const std::string& data = "") {
  uint64_t size = header.size();
  std::string bytes(reinterpret_cast<const char*>(&size), 8);
  return bytes + header + data;
}

TEST(Safetensors, ReadsWhatTheFormatAllows) {
  std::string bytes = file_of(
      R"({"__metadata__":{"format":"pt"},)"
      R"("b":{"dtype":"F32","shape":[1,2],"data_offsets":[2,10]},)"
      R"("a":{"dtype":"BF16","shape":[],"data_offsets":[0,2]},)"
      R"("none":{"dtype":"I64","shape":[3,0],"data_offsets":[10,10]}}  )",
      std::string("\x80\x3f\x00\x00\x80\x3f\x00\x00\x00\x40", 10));
  SafetensorsFile file(in_memory(bytes));
  ASSERT_EQ(file.tensors().size(), 3u);
  EXPECT_EQ(file.tensors()[0].name, "a");
  EXPECT_EQ(file.tensors()[1].name, "b");
  EXPECT_EQ(file.tensors()[1].shape, (Shape{1, 2}));
  EXPECT_EQ(
      test::values<float>(file.TensorSource::read(*file.find("b"))),
      (std::vector<float>{1, 2}));
  EXPECT_EQ(file.data(*file.find("a")).size(), 2u);
  EXPECT_EQ(file.find("none")->bytes, 0u);
  EXPECT_EQ(file.find("c"), nullptr);
  EXPECT_EQ(file.metadata().at("format"), "pt");
}

// MLX writes null where it has no metadata to write.
TEST(Safetensors, MetadataMayBeNull) {
  std::string bytes = file_of(
      R"({"__metadata__":null,)"
      R"("a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})",
      "xy");
  SafetensorsFile file(in_memory(bytes));
  EXPECT_EQ(file.tensors().size(), 1u);
  EXPECT_TRUE(file.metadata().empty());
}

struct Bad {
  const char* words;
  std::string bytes;
  ErrorKind kind = ErrorKind::corrupt_data;
};

TEST(Safetensors, NamesWhatIsWrong) {
  auto one = [](const std::string& fields) {
    return file_of("{\"x\":{" + fields + "}}", "12345678");
  };
  std::string good = R"("dtype":"U8","shape":[8],"data_offsets":[0,8])";
  SafetensorsFile(in_memory(one(good)));
  std::string twice =
      file_of("{\"x\":{" + good + "},\"x\":{" + good + "}}", "12345678");
  std::string overlap = file_of(
      R"({"x":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},)"
      R"("y":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})",
      "12345678");
  std::string gap = file_of(
      R"({"x":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
      R"("y":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})",
      "12345678");
  std::string deep = R"({"x":)";
  for (int i = 0; i < 100000; ++i) {
    deep += R"({"dtype":)";
  }
  deep = file_of(deep);
  const std::vector<Bad> cases = {
      {"it has 3 bytes", "abc"},
      {"claims", std::string("\xff\xff\xff\xff\xff\xff\xff\xff", 8)},
      {"claims 5000000000 bytes",
       std::string("\x00\xf2\x05\x2a\x01\x00\x00\x00", 8)},
      {"does not begin", file_of("[]")},
      {"no JSON", file_of("{")},
      {"no JSON", file_of("{} x")},
      {"twice", twice},
      {"overlaps", overlap},
      {"gap", gap},
      {"inside of", deep},
      {"8 bytes follow", file_of("{}", "12345678")},
      {"unknown type 'F4'",
       one(R"("dtype":"F4","shape":[8],"data_offsets":[0,8])"),
       ErrorKind::unsupported},
      {"lacks", one(R"("dtype":"U8","shape":[8])")},
      {"negative", one(R"("dtype":"U8","shape":[-8],"data_offsets":[0,8])")},
      {"number 8.5", one(R"("dtype":"U8","shape":[8.5],"data_offsets":[0,8])")},
      {"outside", one(R"("dtype":"U8","shape":[9],"data_offsets":[0,9])")},
      {"outside", one(R"("dtype":"U8","shape":[8],"data_offsets":[8,0])")},
      {"instead of 7", one(R"("dtype":"U8","shape":[7],"data_offsets":[0,8])")},
      {"larger than any file",
       one(R"("dtype":"U8","shape":[1152921504606846976,1000,1000],)"
           R"("data_offsets":[0,8])")},
      {"one data_offsets",
       one(R"("dtype":"U8","shape":[8],"data_offsets":[0])")},
      {"more than two",
       one(R"("dtype":"U8","shape":[8],"data_offsets":[0,8,8])")},
      {"the field 'more'", one(good + R"(,"more":1)")},
      {"null", file_of(R"({"a":null})")},
      {"null", file_of(R"({"__metadata__":{"format":null}})")},
      {"list where none", file_of(R"({"__metadata__":{"format":["pt"]}})")},
      {"no valid safetensors", file_of("{\"\xff\":{}}")},
  };
  for (const auto& [words, bytes, kind] : cases) {
    SCOPED_TRACE(words);
    expect_error(kind, words, [&bytes = bytes] {
      SafetensorsFile file(in_memory(bytes));
    });
  }
}

LazyTensor floats(const std::string& name, std::vector<float> list) {
  auto size = static_cast<int64_t>(list.size());
  return {
      name, DType::float32, {size}, [list] { return test::bytes_of(list); }};
}

TEST(SafetensorsWriter, WritesWhatTheReaderReads) {
  test::TempFolder folder;
  write_safetensors(
      folder / "x.safetensors",
      {{"bytes", DType::uint8, {3}, [] { return Bytes(3); }},
       floats("b", {1, 2}),
       floats("a", {3})});
  SafetensorsFile file(folder / "x.safetensors");
  ASSERT_EQ(file.tensors().size(), 3u);
  EXPECT_EQ(file.tensors()[0].name, "b");
  EXPECT_EQ(file.tensors()[1].name, "a");
  EXPECT_EQ(file.tensors()[2].name, "bytes");
  EXPECT_EQ(file.tensors()[0].offset % 8, 0u);
  EXPECT_EQ(file.tensors()[1].offset % 4, 0u);
  EXPECT_EQ(
      test::values<float>(file.TensorSource::read(*file.find("b"))),
      (std::vector<float>{1, 2}));
  EXPECT_EQ(file.metadata().at("format"), "mlx");
}

TEST(SafetensorsWriter, SplitsIntoShardsWithAnIndex) {
  test::TempFolder folder;
  auto result = write_sharded_safetensors(
      folder.path().string(),
      {floats("c", {1, 2, 3}), floats("a", {4}), floats("b", {5, 6})},
      12);
  ASSERT_EQ(result.files.size(), 2u);
  EXPECT_EQ(result.total_bytes, 24u);
  SafetensorsFile first(folder / "model-00001-of-00002.safetensors");
  EXPECT_EQ(first.tensors().size(), 2u);
  std::string index = test::read_file(folder / "model.safetensors.index.json");
  EXPECT_NE(
      index.find("\"c\": \"model-00002-of-00002.safetensors\""),
      std::string::npos);
}

TEST(SafetensorsWriter, RefusesToOverwriteAndDoubleNames) {
  test::TempFolder folder;
  test::write_file(folder / "x", "");
  expect_error(ErrorKind::io, "cannot write", [&] {
    write_safetensors(folder / "x", {floats("a", {1})});
  });
  expect_error(ErrorKind::corrupt_data, "two tensors are called 'a'", [&] {
    write_safetensors(folder / "y", {floats("a", {1}), floats("a", {1})});
  });
}

} // namespace
} // namespace mlx_audio::checkpoint
