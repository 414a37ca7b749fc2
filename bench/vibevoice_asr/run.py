#!/usr/bin/env python3
"""Times VibeVoice-ASR at full size with random weights, beside the memory floor.

    bench/vibevoice_asr/run.py [--bits 4] [--seconds 30]

The checkpoint is made under build/bench (5.8 GB at 4 bits). A token's time is what 40 more of them take; its floor is what the
language model's weights (without the table of embeddings) take at the read bandwidth measured beside it. The encoders' time is that of
all ops but the language model's layers, on `seconds` of noise.
"""
import argparse
import json
import os
import pathlib
import re
import struct
import subprocess
import sys
import wave

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("MLX_AUDIO_BUILD", ROOT / "build" / "release"))


def read_bandwidth():
    """GB/s over all threads, the best of five."""
    done = subprocess.run([BUILD / "bench" / "linear_bench", "--benchmark_filter=read_bandwidth", "--benchmark_repetitions=5"],
                          capture_output=True, text=True, check=True)
    return max(float(x) for x in re.findall(r"GB/s=([0-9.]+)/s", done.stdout))


def transcribe(model, sound, tokens):
    """Milliseconds of each op, and the most memory it took."""
    command = [BUILD / "bin" / "mlx-audio", "stt", sound, "-m", model, "-q", "-f", "json", "--max-tokens", str(tokens)]
    process = subprocess.Popen(list(map(str, command)), text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               env={**os.environ, "MLX_AUDIO_PROFILE": "1"})
    lines = process.stderr.read().splitlines()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit("\n".join(lines))
    ops = {part[0]: float(part[2]) for part in map(str.split, lines) if len(part) == 6 and part[1].isdigit()}
    return ops, usage.ru_maxrss * 1024


def bytes_of_a_token(model):
    size = 0
    for path in model.glob("*.safetensors"):
        with open(path, "rb") as file:
            header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        size += sum(t["data_offsets"][1] - t["data_offsets"][0] for name, t in header.items()
                    if name.startswith("language_model") and "embed_tokens" not in name)
    return size


def noise(seconds):
    path = ROOT / "build" / "bench" / f"noise{seconds}.wav"
    samples = 0.1 * np.random.default_rng(0).standard_normal(int(seconds * 24000))
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(24000)
        out.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return path


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--bits", type=int, default=4, choices=(3, 4, 5, 6, 8, 16))
    arguments.add_argument("--seconds", type=int, default=30)
    args = arguments.parse_args()
    model = ROOT / "build" / "bench" / f"vibevoice_asr_{args.bits}"
    if not (model / "model.safetensors.index.json").exists():
        subprocess.run([sys.executable, pathlib.Path(__file__).with_name("make_checkpoint.py"), model, "--bits", str(args.bits)], check=True)
    few, _ = transcribe(model, noise(1), 2)
    many, _ = transcribe(model, noise(1), 42)
    token = sum(many[op] - few[op] for op in ("decoder_step", "linear")) / 40
    bandwidth = read_bandwidth()
    ops, peak = transcribe(model, noise(args.seconds), 1)
    encoders = sum(ops.values()) - ops["decoder_step"] - ops.get("total", 0)
    files = sum(path.stat().st_size for path in model.glob("*.safetensors"))
    read = bytes_of_a_token(model)
    print(f"a token: {token:.0f} ms ({1e3 / token:.1f} a second), floor {read / bandwidth / 1e6:.0f} ms ({read / 1e9:.2f} GB at {bandwidth:.1f} GB/s)")
    print(f"encoders: {args.seconds * 1e3 / encoders:.1f} times real time")
    print(f"prompt of {args.seconds} s: {ops['decoder_step'] / 1e3:.1f} s")
    print(f"peak memory: {peak / 1e9:.2f} GB, {(peak - files) / 1e6:.0f} MB beyond the weights")


if __name__ == "__main__":
    main()
