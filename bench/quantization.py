#!/usr/bin/env python3
"""Makes the table of docs/quantization.md: Kokoro and Whisper at few bits beside full precision.

    bench/quantization.py [--models kokoro,whisper-base] [--bits 8,6,4,3] [--clips 8]

Each model is converted by `mlx-audio convert`, then speaks or listens. Columns: size of the weights, mean relative error
of the packed layers, log-mel distance to the unquantized model's speech (mean absolute difference in nepers along the best
alignment in time, for rhythm changes too), word error rate (Kokoro: of its speech as whisper-base hears it; Whisper: on
LibriVox recordings from the source package of pocketsphinx, clean, in white noise 15, 10 and 5 dB below them, and at 0.85 and
1.2 of their speed) and real-time factor. `c` behind the bits: --calibrate.
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys
import tarfile
import tempfile
import time
import wave

import numpy as np

from word_errors import word_errors, words_of

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = pathlib.Path(os.environ.get("MLX_AUDIO_BUILD", ROOT / "build/release")) / "bin/mlx-audio"
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "mlx-audio"
SENTENCES = [
    "The birch canoe slid on the smooth planks.",
    "Glue the sheet to the dark blue background.",
    "These days a chicken leg is a rare dish.",
    "The box was thrown beside the parked truck.",
    "Four hours of steady work faced us.",
    "A large size in stockings is hard to sell.",
]


def run(*arguments):
    done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, check=False)
    if done.returncode:
        sys.exit(done.stderr.decode())
    return done.stdout.decode()


def samples(file):
    with wave.open(file) as w:
        return np.frombuffer(w.readframes(w.getnframes()), "<i2") / 32768, w.getframerate()


def log_mel(path, bins=80, size=1024, hop=256):
    sound, rate = samples(str(path))
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(sound, size // 2), size)[::hop]
    power = np.abs(np.fft.rfft(frames * np.hanning(size))) ** 2
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + rate / 1400), bins + 2) / 2595) - 1)
    at = np.fft.rfftfreq(size, 1 / rate)
    up = (at - edges[:-2, None]) / np.diff(edges)[:-1, None]
    down = (edges[2:, None] - at) / np.diff(edges)[1:, None]
    return np.log(power @ np.maximum(0, np.minimum(up, down)).T + 1e-5)


def mel_distance(a, b):
    """Mean difference of log-mel frames along the alignment that makes it least."""
    cost = np.stack([np.abs(b - frame).mean(1) for frame in a])
    total = np.full((len(a) + 1, len(b) + 1), np.inf)
    steps = np.zeros((len(a) + 1, len(b) + 1))
    total[0, 0] = 0
    for i in range(1, len(a) + 1):
        for j in range(max(1, i * len(b) // len(a) - 60), min(len(b), i * len(b) // len(a) + 60) + 1):
            best = min(((total[i - 1, j - 1], steps[i - 1, j - 1]), (total[i - 1, j], steps[i - 1, j]),
                        (total[i, j - 1], steps[i, j - 1])))
            total[i, j], steps[i, j] = best[0] + cost[i - 1, j - 1], best[1] + 1
    return total[-1, -1] / steps[-1, -1]


def variants(sound):
    """The recording as it is, in noise, and slower and faster."""
    yield sound
    noise = np.random.default_rng(0).normal(0, np.sqrt(np.mean(sound**2)), len(sound))
    for decibels in (15, 10, 5):
        yield sound + noise * 10 ** (-decibels / 20)
    for speed in (0.85, 1.2):
        yield np.interp(np.arange(0, len(sound), speed), np.arange(len(sound)), sound)


def save(path, sound, rate):
    with wave.open(str(path), "wb") as w:
        w.setnchannels(1), w.setsampwidth(2), w.setframerate(rate)
        w.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())


def recordings(folder, count):
    archive = next(iter(CACHE.glob("packages/pocketsphinx-*.tar.gz")), None)
    if archive is None:
        (CACHE / "packages").mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:",
                        "pocketsphinx==5.1.1", "-d", CACHE / "packages"], check=True)
        archive = next(CACHE.glob("packages/pocketsphinx-*.tar.gz"))
    clips = []
    with tarfile.open(archive) as tar:
        members = {pathlib.Path(m.name).name: m for m in tar if "/librivox/" in m.name}
        for name in sorted(n for n in members if n.endswith(".wav"))[:count]:
            sound, rate = samples(tar.extractfile(members[name]))
            words = words_of(tar.extractfile(members[name[:-4] + ".txt"]).read().decode())
            for i, variant in enumerate(variants(sound)):
                path = folder / f"{i}-{name}"
                save(path, variant, rate)
                clips.append((path, words))
    return clips


def seconds(path):
    with wave.open(str(path)) as w:
        return w.getnframes() / w.getframerate()


def transcribe(model, paths):
    start = time.time()
    texts = [run("stt", path, "--model", model, "-l", "en", "--output", "-") for path in paths]
    return [words_of(text) for text in texts], time.time() - start


def convert(model, out, *flags):
    table = run("convert", "--hf-path", model, "--mlx-path", out, *flags)
    errors = [float(m.group(1)) for m in re.finditer(r"  (\d\.\d{4})  +\S+\n", table)]
    size = float(re.search(r"-> ([\d.]+) MB", table).group(1))
    return size, sum(errors) / len(errors) if errors else 0


def settings(bits):
    yield "f32", ["--dtype", "float32"]
    for count in bits:
        yield f"{count}", ["-q", "--q-bits", count, "--dtype", "float32"]
        if count <= 4:
            yield f"{count}c", ["-q", "--q-bits", count, "--dtype", "float32", "--calibrate"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="kokoro,whisper-base")
    parser.add_argument("--bits", default="8,6,4,3")
    parser.add_argument("--clips", type=int, default=5, help="recordings, each in six variants")
    options = parser.parse_args()
    bits = [int(b) for b in options.bits.split(",")]
    print("| model | bits | MB | layer error | log-mel distance | WER % | RTF |\n| --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        for model in options.models.split(","):
            exact = None
            for name, flags in settings(bits):
                made = folder / f"{model}-{name}"
                size, error = convert(model, made, *flags)
                if model.startswith("whisper"):
                    clips = recordings(folder, options.clips)
                    texts, took = transcribe(made, [path for path, _ in clips])
                    wrong = sum(word_errors(want, got) for (_, want), got in zip(clips, texts))
                    total, length, distance = sum(len(want) for _, want in clips), sum(seconds(p) for p, _ in clips), "-"
                else:
                    paths = [folder / f"{model}-{name}-{i}.wav" for i in range(len(SENTENCES))]
                    start = time.time()
                    for sentence, path in zip(SENTENCES, paths):
                        run("tts", sentence, "--model", made, "-o", path)
                    took, length = time.time() - start, sum(seconds(p) for p in paths)
                    mels = [log_mel(path) for path in paths]
                    exact = exact or mels
                    distance = f"{np.mean([mel_distance(a, b) for a, b in zip(exact, mels)]):.3f}"
                    texts, _ = transcribe("whisper-base", paths)
                    wrong = sum(word_errors(words_of(want), got) for want, got in zip(SENTENCES, texts))
                    total = sum(len(words_of(s)) for s in SENTENCES)
                print(f"| {model} | {name} | {size:.1f} | {error:.4f} | {distance} | {100 * wrong / total:.1f} | "
                      f"{took / length:.2f} |", flush=True)


if __name__ == "__main__":
    main()
