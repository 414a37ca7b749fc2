#include <set>

#include <gtest/gtest.h>

#include "server/realtime/client_secrets.h"
#include "server/realtime/random_id.h"

namespace mlx_audio::server {
namespace {

TEST(ClientSecrets, LastUntilTheyExpire) {
  ClientSecrets secrets;
  SessionConfig config;
  config.sample_rate = 16000;
  auto made = secrets.make(config, 1000, 60);
  EXPECT_EQ(made.expires_at, 1060);
  EXPECT_EQ(made.value.rfind("ek_", 0), 0u);
  ASSERT_TRUE(secrets.find(made.value, 1059));
  EXPECT_EQ(secrets.find(made.value, 1059)->sample_rate, 16000);
  EXPECT_FALSE(secrets.find(made.value, 1060));
  EXPECT_FALSE(secrets.find("ek_", 1000));
  EXPECT_FALSE(secrets.find("", 1000));
}

TEST(ClientSecrets, AreBounded) {
  ClientSecrets secrets;
  for (size_t i = 0; i < ClientSecrets::most; ++i) {
    secrets.make({}, 1000, 60);
  }
  EXPECT_THROW(secrets.make({}, 1000, 60), ApiError);
  EXPECT_NO_THROW(secrets.make({}, 1060, 60)); // the others have expired
}

TEST(RandomId, IsNeverTheSame) {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    auto id = random_id("item_");
    EXPECT_EQ(id.size(), 29u);
    EXPECT_TRUE(seen.insert(id).second);
  }
}

} // namespace
} // namespace mlx_audio::server
