#include "mlx_audio/error.h"

#include <set>

#include <gtest/gtest.h>

namespace mlx_audio {
namespace {

TEST(Error, EachKindHasItsOwnNameAndExitCode) {
  std::set<std::string> names;
  std::set<int> codes;
  int kinds = 0;
  for (int i = 0; i <= static_cast<int>(ErrorKind::internal); ++i, ++kinds) {
    auto kind = static_cast<ErrorKind>(i);
    names.insert(to_string(kind));
    codes.insert(exit_code(kind));
    EXPECT_GE(http_status(kind), 400);
    EXPECT_LT(http_status(kind), 600);
  }
  EXPECT_EQ(names.size(), static_cast<size_t>(kinds));
  EXPECT_EQ(codes.size(), static_cast<size_t>(kinds));
  EXPECT_EQ(codes.count(0), 0u);
}

} // namespace
} // namespace mlx_audio
