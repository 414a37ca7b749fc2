#!/usr/bin/env python3
"""Times Qwen3-TTS 0.6B at full size with random weights, beside the memory floor and Python's mlx-audio.

    bench/qwen3_tts/run.py [--bits 4 8 16] [--frames 60] [--repeat 3] [--reference PYTHON]

Checkpoints are made under build/bench (1 to 2.5 GB each). The best of `repeat` runs counts: other programs only take
time away. `floor` is what the weights that a frame reads take at the read bandwidth measured beside it, all from memory.
--reference: an interpreter with mlx-audio 0.6.2, timed on the same checkpoints.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("MLX_AUDIO_BUILD", ROOT / "build" / "release"))
TEXT = ("The quick brown fox paid seven dollars for three old tickets and then walked slowly back home along the quiet river.")

REFERENCE = """
import sys, time
from mlx_audio.tts.utils import load_model
model = load_model(sys.argv[1])
start, first, seconds = time.time(), None, 0.0
for chunk in model.generate_custom_voice(text=sys.argv[2], speaker="vivian", language="english", max_tokens=int(sys.argv[3])):
    first = first or time.time() - start
    seconds += len(chunk.audio) / 24000
print("RESULT", (time.time() - start) / seconds, first)
"""


def read_bandwidth():
    """GB/s over all threads, the best of five."""
    done = subprocess.run([BUILD / "bench" / "linear_bench", "--benchmark_filter=read_bandwidth", "--benchmark_repetitions=5"],
                          capture_output=True, text=True, check=True)
    return max(float(x) for x in re.findall(r"GB/s=([0-9.]+)/s", done.stdout))


def speak(model, frames):
    command = [BUILD / "bin" / "mlx-audio", "tts", "-m", model, "--voice", "vivian", "--seed", "1", "--stream", "--quiet", "--json",
               "--max-tokens", str(frames), "--min-new-tokens", str(frames), "-o", "/dev/null", "--format", "wav", "--", TEXT]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env={**os.environ, "MLX_AUDIO_PROFILE": "1"},
                          check=True)
    result = json.loads(done.stdout)
    ops = {}
    for line in done.stderr.splitlines():
        part = line.split()
        if len(part) == 6 and part[1].isdigit():
            ops[part[0]] = (int(part[1]), float(part[2]), float(part[4]))
    calls, total, rate = ops["qwen3_tts_frame"]
    result["frame_ms"] = total / calls
    result["frame_gb"] = rate * total / 1e3 / calls
    codec = sum(ms for name, (_, ms, _) in ops.items() if name not in ("qwen3_tts_frame", "decoder_step"))
    result["codec_speed"] = result["audio_seconds"] / codec * 1e3
    return result


def reference(python, model, frames):
    done = subprocess.run([python, "-c", REFERENCE, str(model), TEXT, str(frames)], capture_output=True, text=True, check=False)
    found = re.search(r"RESULT ([0-9.]+) ([0-9.]+)", done.stdout)
    return found.groups() if found else (done.stderr.strip().splitlines() or ["no result"])[-1]


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--bits", type=int, nargs="+", default=[4], choices=(3, 4, 5, 6, 8, 16))
    arguments.add_argument("--frames", type=int, default=60)
    arguments.add_argument("--repeat", type=int, default=3)
    arguments.add_argument("--reference")
    args = arguments.parse_args()
    print("bits  RTF   first audio  frame     floor     read       codec      peak - weights")
    for bits in args.bits:
        model = ROOT / "build" / "bench" / f"qwen3_tts_{bits}"
        if not (model / "speech_tokenizer" / "model.safetensors").exists():
            subprocess.run([sys.executable, pathlib.Path(__file__).with_name("make_checkpoint.py"), model, "--bits", str(bits)],
                           check=True)
        files = sum(path.stat().st_size for path in model.rglob("*.safetensors"))
        runs = [speak(model, args.frames) for _ in range(args.repeat)]
        bandwidth = read_bandwidth()
        best = min(runs, key=lambda run: run["rtf"])
        floor = best["frame_gb"] / bandwidth * 1e3
        print(f"{bits:4}  {best['rtf']:.2f}  {min(r['first_audio_seconds'] for r in runs):5.2f} s     {best['frame_ms']:5.1f} ms"
              f"  {floor:5.1f} ms  {bandwidth:4.1f} GB/s  {best['codec_speed']:4.1f} x"
              f"     {(best['peak_memory_bytes'] - files) / 1e6:.0f} MB (all runs: RTF {', '.join(format(r['rtf'], '.2f') for r in runs)})",
              flush=True)
        if args.reference:
            print("      mlx-audio (RTF, first audio in s):", reference(args.reference, model, 10), flush=True)


if __name__ == "__main__":
    main()
