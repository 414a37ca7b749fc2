// A libportaudio whose one device is files: it records the floats of
// FAKE_PORTAUDIO_INPUT, then silence, at their own pace, and appends what is
// played to FAKE_PORTAUDIO_OUTPUT. Without either it has no device. With
// FAKE_PORTAUDIO_LOSES it claims that nobody read in time; it refuses rates but
// FAKE_PORTAUDIO_RATE, if that is given. For tests, by LD_LIBRARY_PATH.
#include <portaudio.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <thread>

namespace {

const char* input() {
  return std::getenv("FAKE_PORTAUDIO_INPUT");
}

const char* output() {
  return std::getenv("FAKE_PORTAUDIO_OUTPUT");
}

double rate() {
  const char* text = std::getenv("FAKE_PORTAUDIO_RATE");
  return text != nullptr ? std::atof(text) : 0;
}

struct Stream {
  double sample_rate = 0;
  int channels = 0;
  std::ifstream in;
  std::ofstream out;
  std::chrono::steady_clock::time_point begun;
  double frames = 0;
};

Stream& of(PaStream* stream) {
  return *static_cast<Stream*>(stream);
}

} // namespace

extern "C" {

PaError Pa_Initialize() {
  return paNoError;
}

const char* Pa_GetErrorText(PaError /* error */) {
  return "fake";
}

PaDeviceIndex Pa_GetDeviceCount() {
  return input() != nullptr || output() != nullptr ? 1 : 0;
}

const PaDeviceInfo* Pa_GetDeviceInfo(PaDeviceIndex /* device */) {
  static PaDeviceInfo info;
  info.name = "files";
  info.maxInputChannels = input() != nullptr ? 1 : 0;
  info.maxOutputChannels = output() != nullptr ? 1 : 0;
  info.defaultSampleRate = rate();
  return &info;
}

PaDeviceIndex Pa_GetDefaultOutputDevice() {
  return output() != nullptr ? 0 : paNoDevice;
}

PaDeviceIndex Pa_GetDefaultInputDevice() {
  return input() != nullptr ? 0 : paNoDevice;
}

PaError Pa_OpenStream(
    PaStream** stream,
    const PaStreamParameters* in,
    const PaStreamParameters* out,
    double sample_rate,
    unsigned long /* frames */,
    PaStreamFlags /* flags */,
    PaStreamCallback* /* callback */,
    void* /* data */) {
  if (rate() > 0 && sample_rate != rate()) {
    return paInvalidSampleRate;
  }
  auto* made = new Stream;
  made->sample_rate = sample_rate;
  made->channels = (in != nullptr ? in : out)->channelCount;
  if (in != nullptr) {
    made->in.open(input(), std::ios::binary);
  } else {
    made->out.open(output(), std::ios::binary | std::ios::app);
  }
  *stream = made;
  return paNoError;
}

PaError Pa_StartStream(PaStream* stream) {
  of(stream).begun = std::chrono::steady_clock::now();
  return paNoError;
}

PaError Pa_StopStream(PaStream* /* stream */) {
  return paNoError;
}

PaError Pa_AbortStream(PaStream* /* stream */) {
  return paNoError;
}

PaError Pa_CloseStream(PaStream* stream) {
  delete &of(stream);
  return paNoError;
}

PaError Pa_ReadStream(PaStream* stream, void* buffer, unsigned long frames) {
  Stream& s = of(stream);
  auto bytes = static_cast<std::streamsize>(
      frames * static_cast<unsigned long>(s.channels) * sizeof(float));
  auto* to = static_cast<char*>(buffer);
  s.in.read(to, bytes);
  std::fill(to + s.in.gcount(), to + bytes, '\0');
  s.frames += static_cast<double>(frames);
  std::this_thread::sleep_until(
      s.begun +
      std::chrono::duration_cast<std::chrono::nanoseconds>(
          std::chrono::duration<double>(s.frames / s.sample_rate)));
  return std::getenv("FAKE_PORTAUDIO_LOSES") != nullptr ? paInputOverflowed
                                                        : paNoError;
}

PaError
Pa_WriteStream(PaStream* stream, const void* buffer, unsigned long frames) {
  Stream& s = of(stream);
  s.out.write(
      static_cast<const char*>(buffer),
      static_cast<std::streamsize>(
          frames * static_cast<unsigned long>(s.channels) * sizeof(float)));
  s.out.flush();
  return paNoError;
}
}
