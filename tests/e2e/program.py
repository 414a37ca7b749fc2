"""Runs the built mlx-audio; shared by the end-to-end tests."""
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("MLX_AUDIO_BUILD", ROOT / "build" / "release"))
PROGRAM = BUILD / "bin" / "mlx-audio"


def run(*arguments, stdin="", timeout=300, env=None, program=PROGRAM):
    """The finished process; standard input is `stdin` (str or bytes)."""
    data = stdin.encode() if isinstance(stdin, str) else stdin
    return subprocess.run([str(program), *map(str, arguments)], input=data, timeout=timeout,
                          capture_output=True, env={**os.environ, **(env or {})}, check=False)


def devices(**files):
    """The environment of a machine whose sound devices are these files."""
    found = {"LD_LIBRARY_PATH": str(BUILD / "tests" / "fake_portaudio")}
    names = {f"FAKE_PORTAUDIO_{name.upper()}": str(path) for name, path in files.items()}
    return {**os.environ, **found, **names}


def fails(code, words, *arguments, **options):
    """Expects an exit code and one clear line that holds `words`."""
    done = run(*arguments, **options)
    error = done.stderr.decode()
    assert done.returncode == code, (done.returncode, error)
    first = error.splitlines()[0]
    assert words in first, error
    assert len(error.splitlines()) <= 2, error
    assert "terminate" not in error and "Traceback" not in error
    return done
