#include "audio/device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/audio/signals.h"

namespace mlx_audio::audio {
namespace {

using ::testing::HasSubstr;

TEST(Device, AbsentDevicesAreSaidToBe) {
  Error error = error_of([] { AudioPlayer(24000, 1, 9999); });
  EXPECT_EQ(error.kind(), ErrorKind::unavailable);
  EXPECT_THAT(error.what(), HasSubstr("there is no sound device 9999"));
  error = error_of([] { AudioRecorder(16000, 1, 9999); });
  EXPECT_THAT(error.what(), HasSubstr("9999"));
}

// A machine with sound opens its default device, one without says so.
TEST(Device, DefaultDeviceOpensOrIsNamedAsMissing) {
  Error error = error_of([] {
    AudioPlayer player(48000, 2);
    player.stop();
  });
  if (list_devices().empty()) {
    EXPECT_STREQ(error.what(), "this machine has no playback device");
    EXPECT_FALSE(error.hint().empty());
  } else {
    EXPECT_NE(error.kind(), ErrorKind::corrupt_data) << error.what();
  }
}

} // namespace
} // namespace mlx_audio::audio
