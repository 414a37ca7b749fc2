#!/usr/bin/env python3
"""Times Qwen3-TTS 0.6B at full size with random weights, beside other engines that speak the same shapes and text.

    bench/qwen3_tts/run.py [--bits 4 8 16] [--frames 60] [--repeat 3]
                           [--crispasr PYTHON] [--pytorch PYTHON] [--reference PYTHON]

Checkpoints are made under build/bench (1 to 2.5 GB each). The best of `repeat` runs counts: other programs only take
time away. RTF is the time over the sound's length for `frames` frames; ours is streamed, the others' sound is made at once.
`floor` is what the weights that a frame reads take at the read bandwidth measured beside it, all from memory.
The other engines run in interpreters of their own (bench/requirements.txt says with what):
--crispasr: crispasr and gguf; --pytorch: qwen-tts, 16 bits alone; --reference: mlx-audio, for minutes and once.
The last two make fewer frames, and their RTF is what the parts come to.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = pathlib.Path(os.environ.get("MLX_AUDIO_BUILD", ROOT / "build" / "release"))
BENCH = ROOT / "build" / "bench"
TEXT = ("The quick brown fox paid seven dollars for three old tickets and then walked slowly back home along the quiet river.")
FRAME_SECONDS = 0.08
GGML_TYPES = {4: ("q4_0", "q4_k"), 8: ("q8_0",), 16: ("f16",)}


def read_bandwidth():
    """GB/s over all threads, the best of five."""
    done = subprocess.run([BUILD / "bench" / "linear_bench", "--benchmark_filter=read_bandwidth", "--benchmark_repetitions=5"],
                          capture_output=True, text=True, check=True)
    return max(float(x) for x in re.findall(r"GB/s=([0-9.]+)/s", done.stdout))


def made(folder, last, program, *args, python=sys.executable):
    if not (folder / last).exists():
        subprocess.run([python, HERE / program, folder, *args], check=True)
    return folder


def checkpoint(bits):
    return made(BENCH / f"qwen3_tts_{bits}", "speech_tokenizer/model.safetensors", "make_checkpoint.py", "--bits", str(bits))


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
    codec = sum(ms for name, (_, ms, _) in ops.items() if name not in ("qwen3_tts_frame", "decoder_step"))
    return {"rtf": result["rtf"], "first": result["first_audio_seconds"], "frame": total / calls / 1e3,
            "codec": codec / 1e3 / (result["audio_seconds"] / FRAME_SECONDS), "memory": result["peak_memory_bytes"],
            "frame_gb": rate * total / 1e3 / calls}


def peer(python, engine, model, made_frames, frames):
    done = subprocess.run([python, HERE / "peers.py", engine, model, str(made_frames), TEXT], capture_output=True, text=True,
                          check=False, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    if done.returncode:
        sys.exit(f"{engine}: {(done.stderr.strip().splitlines() or ['no result'])[-1]}")
    result = json.loads(done.stdout.splitlines()[-1])
    result["rtf"] = (result["prompt"] / frames + result["frame"] + result["codec"]) / FRAME_SECONDS
    return result


def row(name, weights, runs, ours=None):
    best = min(runs, key=lambda run: run["rtf"])
    first = min(run["first"] for run in runs) if "first" in best else None
    print(f"{name:26} {weights:6} {best['rtf']:7.2f} {best['rtf'] / ours if ours else 1:7.1f}   {f'{first:.2f} s' if first else '-':>9}"
          f" {best['frame'] * 1e3:9.1f} ms {FRAME_SECONDS / best['codec']:8.2f} x {best['memory'] / 1e9:7.2f} GB"
          f"   ({', '.join(format(run['rtf'], '.2f') for run in runs)})", flush=True)
    return best


def machine():
    names = re.findall(r"model name\s*: (.+)", pathlib.Path("/proc/cpuinfo").read_text()) or ["processor"]
    return f"{len(os.sched_getaffinity(0))} x {names[0]}"


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--bits", type=int, nargs="+", default=[4], choices=(3, 4, 5, 6, 8, 16))
    arguments.add_argument("--frames", type=int, default=60)
    arguments.add_argument("--repeat", type=int, default=3)
    for engine in ("crispasr", "pytorch", "reference"):
        arguments.add_argument("--" + engine, metavar="PYTHON")
    args = arguments.parse_args()
    print(machine())
    print(f"{'':26} {'':6} {'RTF':>7} {'/ ours':>7}   {'1st sound':>9} {'frame':>12} {'codec':>10} {'peak':>10}   (RTF of all runs)")
    for bits in args.bits:
        model = checkpoint(bits)
        best = row("mlx-audio.cpp", f"{bits} bit", [speak(model, args.frames) for _ in range(args.repeat)])
        bandwidth = read_bandwidth()
        files = sum(path.stat().st_size for path in model.rglob("*.safetensors"))
        print(f"  floor of a frame {best['frame_gb'] / bandwidth * 1e3:.1f} ms at {bandwidth:.1f} GB/s;"
              f" {(best['memory'] - files) / 1e6:.0f} MB beyond the weights", flush=True)

        def compare(name, weights, python, engine, folder, frames, repeat, ours=best["rtf"]):
            runs = [peer(python, engine, folder, frames, args.frames) for _ in range(repeat)]
            row(f"{name} {runs[0]['version']}", weights, runs, ours)

        for kind in GGML_TYPES.get(bits, ()) if args.crispasr else ():
            folder = made(BENCH / f"qwen3_tts_{kind}", "codec.gguf", "make_gguf.py", "--type", kind, python=args.crispasr)
            compare("crispasr", kind, args.crispasr, "crispasr", folder, args.frames, args.repeat)
        for kind in ("bfloat16", "float32") if args.pytorch else ():
            compare("qwen-tts, PyTorch", "bf16" if kind == "bfloat16" else "f32", args.pytorch, "pytorch:" + kind, checkpoint(16), 20,
                    args.repeat)
        if args.reference:
            compare("mlx-audio", f"{bits} bit", args.reference, "mlx-audio", model, 3, 1)


if __name__ == "__main__":
    main()
