#!/usr/bin/env python3
"""Times VibeVoice-ASR at full size with random weights, beside the memory floor.

    bench/vibevoice_asr/run.py [--bits 4] [--seconds 30] [--tokens 24] [--repeat 2]

The checkpoint is made under build/bench (6 GB at 4 bits). `floor` is what a token reads (the language model's packed weights,
without the table of embeddings) at the read bandwidth measured beside it.
"""
import argparse
import json
import os
import pathlib
import re
import resource
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
    command = [BUILD / "bin" / "mlx-audio", "stt", sound, "-m", model, "-q", "-f", "json", "--max-tokens", str(tokens)]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env={**os.environ, "MLX_AUDIO_PROFILE": "1"}, check=True)
    ops = {}
    for line in done.stderr.splitlines():
        part = line.split()
        if len(part) == 6 and part[1].isdigit():
            ops[part[0]] = (int(part[1]), float(part[2]), part[3:])
    return ops, done.stderr


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--bits", type=int, default=4, choices=(3, 4, 5, 6, 8, 16))
    arguments.add_argument("--seconds", type=float, default=30)
    arguments.add_argument("--tokens", type=int, default=24)
    args = arguments.parse_args()
    model = ROOT / "build" / "bench" / f"vibevoice_asr_{args.bits}"
    if not (model / "model.safetensors.index.json").exists():
        subprocess.run([sys.executable, pathlib.Path(__file__).with_name("make_checkpoint.py"), model, "--bits", str(args.bits)], check=True)
    sound = ROOT / "build" / "bench" / "noise.wav"
    samples = 0.1 * np.random.default_rng(0).standard_normal(int(args.seconds * 24000))
    with wave.open(str(sound), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(24000)
        out.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    files = sum(path.stat().st_size for path in model.glob("*.safetensors"))
    _, text = transcribe(model, sound, args.tokens)
    print(text)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    print(json.dumps({"weights_gb": files / 1e9, "peak_beyond_gb": (peak - files) / 1e9, "read_gb_s": read_bandwidth()}))


if __name__ == "__main__":
    main()
