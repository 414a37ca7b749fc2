#!/usr/bin/env python3
"""Times CSM-1B at full size with random weights, beside the memory floor of a frame.

    bench/csm/run.py [--bits 4] [--frames 40] [--repeat 3]

Checkpoints are made under build/bench (1 to 4 GB each). The best of `repeat` runs counts: other programs only take time
away. `floor` is what the weights that a frame reads take at the read bandwidth measured beside it, all from memory.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "qwen3_tts"))
from run import BUILD, ROOT, TEXT, read_bandwidth


def speak(model, frames):
    command = [BUILD / "bin" / "mlx-audio", "tts", "-m", model, "--voice", "0", "--seed", "1", "--stream", "--quiet", "--json",
               "--max-tokens", frames, "--min-new-tokens", frames, "-o", "/dev/null", "--format", "wav", "--", TEXT]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env={**os.environ, "MLX_AUDIO_PROFILE": "1"},
                          check=True)
    result = json.loads(done.stdout)
    ops = {}
    for line in done.stderr.splitlines():
        part = line.split()
        if len(part) == 6 and part[1].isdigit():
            ops[part[0]] = (int(part[1]), float(part[2]), float(part[4]))
    calls, total, rate = ops["csm_frame"]
    codec = sum(ms for name, (_, ms, _) in ops.items() if name not in ("csm_frame", "decoder_step"))
    return {**result, "frame_ms": total / calls, "frame_gb": rate * total / 1e3 / calls,
            "codec_speed": result["audio_seconds"] / codec * 1e3}


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--bits", type=int, nargs="+", default=[4], choices=(3, 4, 6, 8, 16))
    arguments.add_argument("--frames", type=int, default=40)
    arguments.add_argument("--repeat", type=int, default=3)
    args = arguments.parse_args()
    print("bits  RTF   first audio  frame     floor     read       codec      peak - weights")
    for bits in args.bits:
        model = ROOT / "build" / "bench" / f"csm_{bits}"
        if not list(model.glob("mimi/*.safetensors")):
            subprocess.run([sys.executable, HERE / "make_checkpoint.py", model, "--bits", str(bits)], check=True)
        files = sum(path.stat().st_size for path in model.rglob("*.safetensors"))
        runs = [speak(model, args.frames) for _ in range(args.repeat)]
        bandwidth = read_bandwidth()
        best = min(runs, key=lambda run: run["rtf"])
        print(f"{bits:4}  {best['rtf']:.2f}  {min(r['first_audio_seconds'] for r in runs):5.2f} s     {best['frame_ms']:5.1f} ms"
              f"  {best['frame_gb'] / bandwidth * 1e3:5.1f} ms  {bandwidth:4.1f} GB/s  {best['codec_speed']:4.1f} x"
              f"     {(best['peak_memory_bytes'] - files) / 1e6:.0f} MB (all runs: RTF {', '.join(format(r['rtf'], '.2f') for r in runs)})",
              flush=True)


if __name__ == "__main__":
    main()
