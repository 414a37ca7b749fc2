#include "hub/listing.h"

#include <set>

#include "hub/download.h"
#include "hub/hash.h"
#include "hub/http.h"
#include "unit/checkpoint/helpers.h"

namespace mlx_audio::hub {
namespace {

std::set<std::string> needed(const std::vector<std::string>& names) {
  std::vector<RepoFile> files;
  for (const auto& name : names) {
    files.push_back({name, 1, ""});
  }
  std::set<std::string> result;
  for (const auto& file : needed_files(files)) {
    result.insert(file.path);
  }
  return result;
}

using Names = std::set<std::string>;

TEST(Listing, NeedsTheBestFormOfTheWeightsOfEachFolder) {
  EXPECT_EQ(
      needed(
          {"config.json",
           "model.safetensors",
           "pytorch_model.bin",
           "tf_model.h5",
           "flax_model.msgpack",
           "onnx/model.onnx",
           ".gitattributes",
           "a.png"}),
      (Names{"config.json", "model.safetensors"}));
  // Kokoro as its authors publish it.
  EXPECT_EQ(
      needed(
          {"config.json",
           "kokoro-v1_0.pth",
           "voices/af.pt",
           "samples/x.mp3",
           "README.md"}),
      (Names{"config.json", "kokoro-v1_0.pth", "voices/af.pt", "README.md"}));
  EXPECT_EQ(
      needed({"voices/a.safetensors", "voices/a.pt", "w.npz", "w.pt"}),
      (Names{"voices/a.safetensors", "w.npz"}));
  EXPECT_EQ(
      needed(
          {"model.safetensors.index.json",
           "model-00001-of-00002.safetensors",
           "model-00002-of-00002.safetensors",
           "consolidated.safetensors",
           "speech_tokenizer/model.safetensors"}),
      (Names{
          "model.safetensors.index.json",
          "model-00001-of-00002.safetensors",
          "model-00002-of-00002.safetensors",
          "speech_tokenizer/model.safetensors"}));
  EXPECT_EQ(
      needed({"a.onnx", "config.json"}), (Names{"a.onnx", "config.json"}));
}

TEST(Listing, HashesAreTheHubsOwn) {
  // printf hello | git hash-object --stdin; printf hello | sha256sum
  BlobHash git(40, 5);
  git.update("hel");
  git.update("lo");
  EXPECT_EQ(git.digest(), "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0");
  BlobHash sha256(64, 5);
  sha256.update("hello");
  EXPECT_EQ(
      sha256.digest(),
      "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
}

TEST(Http, OriginsAndRedirects) {
  EXPECT_EQ(origin_of("HTTPS://Hub.co/x"), "https hub.co 443");
  EXPECT_NE(origin_of("http://hub.co/x"), origin_of("http://hub.co:81/x"));
  EXPECT_NE(origin_of("http://hub.co"), origin_of("https://hub.co"));
  EXPECT_EQ(
      origin_of("https://hub.co@evil.com/"), origin_of("https://evil.com"));
  EXPECT_EQ(origin_of("file:///etc/passwd"), "");
  EXPECT_EQ(resolve_url("https://h.co/a/b", "/c"), "https://h.co/c");
  EXPECT_EQ(resolve_url("https://h.co/a/b", "file:///etc/passwd"), "");
  EXPECT_EQ(url_encode("a b/ü?#", "/"), "a%20b/%C3%BC%3F%23");
}

TEST(Pull, CanBeCancelled) {
  ::setenv("HF_HUB_OFFLINE", "0", 1);
  ::setenv("HF_ENDPOINT", "http://127.0.0.1:9", 1);
  PullOptions options;
  options.cancelled = [] { return true; };
  test::expect_error(ErrorKind::cancelled, "cancelled", [&] {
    pull_model("org/name", options);
  });
  ::unsetenv("HF_ENDPOINT");
  ::setenv("HF_HUB_OFFLINE", "1", 1);
}

} // namespace
} // namespace mlx_audio::hub
