// The JSON that VibeVoice-ASR writes: at once and in pieces it must give the
// same segments.
#include <cstdint>
#include <string_view>

#include "models/vibevoice_asr/transcript.h"

using namespace mlx_audio::vibevoice_asr;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto whole = read_transcript(text);
  TranscriptReader reader;
  size_t count = 0;
  for (size_t at = 0; at < size; at += 3) {
    reader.feed(text.substr(at, 3));
    while (auto segment = reader.next()) {
      if (count >= whole.size() || segment->text != whole[count].text ||
          segment->start != whole[count].start) {
        __builtin_trap();
      }
      ++count;
    }
  }
  if (count != whole.size()) {
    __builtin_trap();
  }
  return 0;
}
