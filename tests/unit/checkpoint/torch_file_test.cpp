// The .pt files are made by scripts/make-checkpoint-fixtures with PyTorch.
#include "checkpoint/torch_file.h"

#include <numeric>

#include "unit/checkpoint/helpers.h"

namespace mlx_audio::checkpoint {
namespace {

using test::expect_error;
using test::values;

const std::string folder = TEST_DATA_DIR "/checkpoint/";

template <class T>
std::vector<T> tensor(const TorchFile& file, const std::string& name) {
  const TensorInfo* info = file.find(name);
  if (!info) {
    ADD_FAILURE() << name << " is missing";
    return {};
  }
  return values<T>(file.TensorSource::read(*info));
}

TEST(TorchFile, ReadsNestedDictionaries) {
  TorchFile file(folder + "nested.pt");
  ASSERT_EQ(file.tensors().size(), 10u);
  const std::string at = "model_state_dict.";
  std::vector<float> all(24);
  std::iota(all.begin(), all.end(), 0.0f);
  EXPECT_EQ(tensor<float>(file, at + "plain"), all);
  EXPECT_EQ(file.find(at + "plain")->shape, (Shape{4, 6}));
  EXPECT_EQ(file.find(at + "turned")->shape, (Shape{6, 4}));
  auto turned = tensor<float>(file, at + "turned");
  EXPECT_EQ(
      std::vector<float>(turned.begin(), turned.begin() + 5),
      (std::vector<float>{0, 6, 12, 18, 1}));
  EXPECT_EQ(
      tensor<float>(file, at + "part"),
      (std::vector<float>{8, 9, 10, 14, 15, 16}));
  EXPECT_EQ(file.find(at + "half")->dtype, DType::float16);
  EXPECT_EQ(tensor<uint16_t>(file, at + "half")[1], 0x3c00);
  EXPECT_EQ(file.find(at + "brain")->dtype, DType::bfloat16);
  EXPECT_EQ(tensor<uint16_t>(file, at + "brain")[1], 0x3f80);
  EXPECT_EQ(tensor<int64_t>(file, at + "scalar"), (std::vector<int64_t>{7}));
  EXPECT_EQ(file.find(at + "none")->shape, (Shape{0, 3}));
  EXPECT_TRUE(tensor<float>(file, at + "none").empty());
  EXPECT_EQ(
      tensor<float>(file, at + "parameter"),
      (std::vector<float>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(file.find(at + "flags")->dtype, DType::boolean);
  EXPECT_EQ(
      tensor<uint16_t>(file, at + "small"), (std::vector<uint16_t>{1, 65535}));
}

TEST(TorchFile, KeepsWhatIsNoTensor) {
  TorchFile file(folder + "nested.pt");
  EXPECT_EQ(
      file.values().at("dims"),
      nlohmann::json::parse(
          R"({"n_mels":80,"rate":0.5,"name":"tiny","ok":true,"none":null})"));
}

TEST(TorchFile, ReadsALoneTensorAndAStateDict) {
  TorchFile voice(folder + "voice.pt");
  EXPECT_EQ(voice.find("data")->shape, (Shape{3, 1, 2}));
  TorchFile state(folder + "state_dict.pt");
  EXPECT_EQ(state.find("weight")->shape, (Shape{1, 2}));
  EXPECT_EQ(state.find("bias")->shape, (Shape{1}));
}

TEST(TorchFile, RunsNothing) {
  std::filesystem::remove("/tmp/mlx-audio-was-here");
  expect_error(ErrorKind::unsupported, "'posix system'", [] {
    TorchFile file(folder + "evil.pt");
  });
  EXPECT_FALSE(std::filesystem::exists("/tmp/mlx-audio-was-here"));
  expect_error(ErrorKind::unsupported, "torch.nn.modules.linear Linear", [] {
    TorchFile file(folder + "module.pt");
  });
}

TEST(TorchFile, NamesWhatItCannotRead) {
  expect_error(ErrorKind::unsupported, "version 1.6", [] {
    TorchFile file(folder + "legacy.pt");
  });
  expect_error(ErrorKind::unsupported, "TorchScript", [] {
    TorchFile file(folder + "script.pt");
  });
  expect_error(ErrorKind::corrupt_data, "larger than its data", [] {
    TorchFile file(folder + "expanded.pt");
  });
  expect_error(ErrorKind::corrupt_data, "no entry data.pkl", [] {
    TorchFile file(folder + "stored.npz");
  });
  expect_error(ErrorKind::not_found, "nowhere.pt", [] {
    TorchFile file(folder + "nowhere.pt");
  });
}

TEST(TorchFile, EveryCutIsAnError) {
  std::string all = test::read_file(folder + "state_dict.pt");
  ASSERT_GT(all.size(), 500u);
  for (size_t size = 0; size < all.size(); size += 7) {
    std::string cut = all.substr(0, size);
    EXPECT_THROW(TorchFile file(test::in_memory(cut)), Error) << size;
  }
}

Pickle parse(const std::string& text) {
  return parse_pickle(std::as_bytes(std::span(text)), "pickle");
}

TEST(Pickle, ReadsPlainValues) {
  std::string text = test::read_file(folder + "plain.pkl");
  Pickle pickle = parse(text);
  const auto& dict = pickle[pickle.root];
  ASSERT_EQ(dict.items.size(), 2u);
  EXPECT_EQ(pickle[dict.items[0]].text, "list");
  const auto& list = pickle[dict.items[1]].items;
  ASSERT_EQ(list.size(), 7u);
  EXPECT_EQ(pickle[list[1]].integer, -2);
  EXPECT_EQ(pickle[list[2]].integer, int64_t{1} << 40);
  EXPECT_EQ(pickle[list[3]].real, 1.5);
  EXPECT_EQ(pickle[list[6]].items.size(), 2u);
  EXPECT_EQ(pickle.size, text.size());
}

TEST(Pickle, NamesWhatIsWrong) {
  using namespace std::string_literals;
  expect_error(ErrorKind::corrupt_data, "it is cut", [] { parse("\x80"s); });
  expect_error(ErrorKind::corrupt_data, "stack is empty", [] { parse("."); });
  expect_error(ErrorKind::corrupt_data, "lacks a mark", [] { parse("Nt."); });
  expect_error(ErrorKind::corrupt_data, "never had", [] { parse("h\x05."s); });
  expect_error(
      ErrorKind::corrupt_data, "the operation 0", [] { parse("\0"s); });
  expect_error(ErrorKind::corrupt_data, "no list", [] { parse("NNa."); });
  expect_error(ErrorKind::corrupt_data, "key without", [] { parse("}(Nu."); });
  expect_error(ErrorKind::corrupt_data, "no function", [] { parse("N)R."); });
  expect_error(ErrorKind::unsupported, "'builtins eval'", [] {
    parse("cbuiltins\neval\n.");
  });
  expect_error(ErrorKind::unsupported, "'os system'", [] {
    parse("\x8c\x02os\x8c\x06system\x93."s);
  });
  expect_error(ErrorKind::unsupported, "object of a class", [] {
    parse("ccollections\nOrderedDict\n)\x81."s);
  });
  expect_error(ErrorKind::unsupported, "above 5", [] { parse("\x80\x06."s); });
  expect_error(ErrorKind::too_large, "more than 2000000 values", [] {
    parse(std::string(3000000, ')') + ".");
  });
}

} // namespace
} // namespace mlx_audio::checkpoint
