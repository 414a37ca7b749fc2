#include "hub/store.h"

#include <cstdlib>

#include "hub/cache.h"
#include "unit/checkpoint/helpers.h"

namespace mlx_audio::hub {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::write_file;

// A home of its own for store and cache.
class Store : public testing::Test {
 protected:
  Store() {
    ::setenv("MLX_AUDIO_HOME", (folder_ / "home").c_str(), 1);
    ::setenv("HF_HUB_CACHE", (folder_ / "hub").c_str(), 1);
    ::setenv("HF_HUB_OFFLINE", "1", 1);
    write_file(folder_ / "home/models/kokoro/config.json", "{}");
    write_file(folder_ / "home/models/me/mine/config.json", "{}");
    write_file(folder_ / "home/models/half/model.safetensors", "");
    write_file(folder_ / "hub/models--org--name/refs/main", commit);
    write_file(
        folder_ / "hub/models--org--name/snapshots/" + commit + "/config.json",
        "{}");
  }
  ~Store() override {
    ::unsetenv("MLX_AUDIO_HOME");
    ::unsetenv("HF_HUB_CACHE");
    ::unsetenv("HF_HUB_OFFLINE");
  }

  const std::string commit = "0123456789abcdef0123456789abcdef01234567";
  test::TempFolder folder_;
};

TEST_F(Store, TakesAFolderAsItIs) {
  std::string path = folder_.path().string();
  EXPECT_EQ(resolve_model(path), path);
}

TEST_F(Store, PassesByAFolderThatOnlyHasTheName) {
  auto before = fs::current_path();
  fs::create_directories(folder_ / "here/kokoro");
  fs::current_path(folder_ / "here");
  EXPECT_EQ(resolve_model("kokoro"), folder_ / "home/models/kokoro");
  write_file("kokoro/config.json", "{}");
  EXPECT_EQ(resolve_model("kokoro"), "kokoro");
  fs::current_path(before);
}

TEST_F(Store, FindsStoreAndCache) {
  EXPECT_EQ(resolve_model("kokoro"), folder_ / "home/models/kokoro");
  EXPECT_EQ(resolve_model("me/mine"), folder_ / "home/models/me/mine");
  std::string snapshot = folder_ / "hub/models--org--name/snapshots/" + commit;
  EXPECT_EQ(resolve_model("org/name"), snapshot);
  EXPECT_EQ(resolve_model("org/name", commit), snapshot);
  EXPECT_EQ(find_local_model("org/name", "v2"), "");
}

TEST_F(Store, AShortNameStandsForItsRepository) {
  write_file(
      folder_ / "hub/models--mlx-community--whisper-base-asr-fp16/refs/main",
      commit);
  std::string snapshot =
      folder_ / "hub/models--mlx-community--whisper-base-asr-fp16/snapshots/" +
      commit;
  write_file(snapshot + "/config.json", "{}");
  EXPECT_EQ(resolve_model("whisper-base"), snapshot);
}

TEST_F(Store, ListsWhatIsThere) {
  auto models = stored_models();
  ASSERT_EQ(models.size(), 3u);
  EXPECT_EQ(models[0].name, "kokoro");
  EXPECT_EQ(models[1].name, "me/mine");
  EXPECT_EQ(models[2].name, "org/name");
  EXPECT_EQ(models[2].place, "hub cache");
}

TEST_F(Store, SaysHowToGetWhatIsMissing) {
  auto hint = [](const std::string& model) {
    try {
      resolve_model(model);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::not_found);
      return error.hint();
    }
    return std::string("no error");
  };
  EXPECT_NE(
      hint("whisper-tiny.en").find("scripts/import-models whisper-tiny.en"),
      std::string::npos);
  EXPECT_NE(hint("kokro").find("'kokoro'"), std::string::npos);
  EXPECT_NE(hint("wisper-base").find("'whisper-base'"), std::string::npos);
  EXPECT_NE(hint("half").find("models list"), std::string::npos);
  EXPECT_NE(hint("").find("models list"), std::string::npos);
}

TEST_F(Store, DoesNotLeaveItsFolders) {
  write_file(folder_ / "home/config.json", "{}");
  for (const char* bad :
       {"..",
        "../home",
        "a/../..",
        "/nowhere",
        "a//b",
        "a/b/c",
        "-x",
        "a\nb"}) {
    EXPECT_FALSE(is_repo_id(bad)) << bad;
    if (!fs::is_directory(bad)) {
      EXPECT_EQ(find_local_model(bad), "") << bad;
    }
  }
  for (const char* bad : {"", "..", "a/../b", "/a", ".git", "a//b", "a b"}) {
    EXPECT_FALSE(is_revision(bad)) << bad;
  }
  EXPECT_TRUE(is_revision("refs/pr/1"));
  write_file(folder_ / "hub/models--org--name/refs/evil", "../../..");
  EXPECT_EQ(find_local_model("org/name", "evil"), "");
}

} // namespace
} // namespace mlx_audio::hub
