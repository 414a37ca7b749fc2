"""An installed tree can be moved, and a program builds against it."""
import os
import subprocess

from program import BUILD, run

SOURCE = """
#include <cstdio>
#include <mlx_audio/speech.h>
int main() {
  auto model = mlx_audio::load_speech_model("kokoro");
  auto stream = model->synthesize({.text = "Hello."});
  size_t samples = 0;
  while (auto chunk = stream->next()) samples += chunk->samples.size();
  std::printf("%zu samples at %d Hz\\n", samples, model->info().sample_rate);
  return samples > 0 ? 0 : 1;
}
"""
LISTS = """
cmake_minimum_required(VERSION 3.25)
project(user LANGUAGES CXX)
set(CMAKE_CXX_STANDARD 20)
find_package(mlx_audio REQUIRED)
add_executable(user main.cpp)
target_link_libraries(user PRIVATE mlx_audio::mlx_audio)
"""


def test_installed_tree(tmp_path):
    first, moved, user = tmp_path / "first", tmp_path / "moved", tmp_path / "user"
    subprocess.run(["cmake", "--install", BUILD, "--prefix", first], check=True,
                   stdout=subprocess.DEVNULL)
    first.rename(moved)
    clean = {k: v for k, v in os.environ.items() if not k.startswith("LD_")}

    out = tmp_path / "x.wav"
    done = run("tts", "Moved.", "-o", out, program=moved / "bin" / "mlx-audio")
    assert done.returncode == 0 and out.stat().st_size > 10000, done.stderr
    linked = subprocess.run(["ldd", moved / "bin" / "mlx-audio"], capture_output=True, text=True,
                            check=True).stdout
    assert str(moved) in next(line for line in linked.splitlines() if "libmlx.so" in line)

    user.mkdir()
    (user / "main.cpp").write_text(SOURCE)
    (user / "CMakeLists.txt").write_text(LISTS)
    subprocess.run(["cmake", "-S", user, "-B", user / "build", f"-DCMAKE_PREFIX_PATH={moved}",
                    "-DCMAKE_BUILD_TYPE=Release"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", user / "build"], check=True, stdout=subprocess.DEVNULL)
    ran = subprocess.run([user / "build" / "user"], capture_output=True, text=True, check=False,
                         env=clean)
    assert ran.returncode == 0 and "samples at 24000 Hz" in ran.stdout, ran.stderr
    # Python mlx-audio's program names.
    for name in ("server", "sts.generate", "stt.generate", "tts.generate"):
        done = run("--help", program=moved / "bin" / f"mlx_audio.{name}")
        assert done.returncode == 0 and f"Usage: mlx_audio.{name}".encode() in done.stdout, done
