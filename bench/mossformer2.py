#!/usr/bin/env python3
"""Times MossFormer2 SE at full size (24 x 512, random weights), beside PyTorch.

    bench/mossformer2.py [--seconds 16] [--dtypes float32,bfloat16,8,4]
                         [--upstream FOLDER] [--torch-dtypes float32,bfloat16]
                         [--mlx-audio 4] [--seams 60] [--long 3600] [--latency]

--mlx-audio S, --seams S, --long S, --latency: see their functions.
--upstream: the folder clearvoice/ of PyPI clearvoice 0.1.2, unpacked; with
torch, einops, rotary-embedding-torch and torchinfo installed it is timed on
the same weights. Each line: real-time factor (computing / audio, lower is
faster), peak memory and the largest difference from the first line's audio.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import wave
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
RATE, WINDOW, HOP = 48000, 1920, 384


def make_tensors(dim=512, blocks=24, seed=0, inner=256, bins=961, features=180):
    """Random weights with upstream's names, shapes and initial scales."""
    rng = np.random.default_rng(seed)
    out = {}

    def uniform(name, shape, fan_in):
        bound = 1 / np.sqrt(fan_in)
        out[name] = rng.uniform(-bound, bound, shape).astype(np.float32)

    def linear(name, rows, columns, bias=True, kernel=()):
        uniform(name + ".weight", (rows, columns, *kernel), columns)
        if bias:
            uniform(name + ".bias", (rows,), columns)

    def gains(name, shape, around):
        noise = 0.1 * rng.standard_normal(shape)
        out[name] = (around + noise).astype(np.float32)

    def norm(name, shape):
        gains(name + ".weight", shape, 1)
        gains(name + ".bias", shape, 0)

    def feed_forward(name, rows, columns, scale_norm):
        if scale_norm:
            gains(name + ".mdl.0.g", (1,), 1)
        else:
            norm(name + ".mdl.0", (columns,))
        linear(name + ".mdl.1", rows, columns)
        uniform(name + ".mdl.3.sequential.1.conv.weight", (rows, 1, 17), 17)

    norm("norm", (features,))
    linear("conv1d_encoder", dim, features, bias=False, kernel=(1,))
    gains("pos_enc.scale", (1,), 1)
    for i in range(blocks):
        layer = f"mdl.intra_mdl.mossformerM.layers.{i}"
        feed_forward(layer + ".to_hidden", 4 * dim, dim, True)
        feed_forward(layer + ".to_qk", 128, dim, True)
        feed_forward(layer + ".to_out", dim, 2 * dim, True)
        gains(layer + ".qk_offset_scale.gamma", (4, 128), 0)
        gains(layer + ".qk_offset_scale.beta", (4, 128), 0)
        block = f"mdl.intra_mdl.mossformerM.fsmn.{i}"
        linear(block + ".conv1.0", inner, dim, kernel=(1,))
        gains(block + ".conv1.1.weight", (1,), 0.25)
        norm(block + ".norm1", (inner,))
        feed_forward(block + ".gated_fsmn.to_u", inner, inner, False)
        feed_forward(block + ".gated_fsmn.to_v", inner, inner, False)
        linear(block + ".gated_fsmn.fsmn.linear", inner, inner)
        linear(block + ".gated_fsmn.fsmn.project", inner, inner, bias=False)
        uniform(block + ".gated_fsmn.fsmn.conv1.weight", (inner, 1, 39, 1), 39)
        norm(block + ".norm2", (inner,))
        linear(block + ".conv2", dim, inner, kernel=(1,))
    norm("mdl.intra_mdl.norm", (dim,))
    norm("mdl.intra_norm", (dim,))
    gains("prelu.weight", (1,), 0.25)
    linear("conv1d_out", 2 * dim, dim, kernel=(1,))
    linear("output.0", dim, dim, kernel=(1,))
    linear("output_gate.0", dim, dim, kernel=(1,))
    linear("conv1_decoder", bins, dim, bias=False, kernel=(1,))
    out["conv1_decoder.weight"] *= 8  # masks around 0..2
    return {"mossformer." + name: value for name, value in out.items()}


def to_mlx(tensors):
    """The names and layouts of the MLX conversions."""
    renames = [
        ("conv1.0.", "conv1."),
        ("conv1.1.", "prelu."),
        (".mdl.0.", ".norm."),
        (".mdl.1.", ".linear."),
        (".mdl.3.sequential.1.conv.", ".conv_module."),
        ("output.0.", "output."),
        ("output_gate.0.", "output_gate."),
    ]
    out = {}
    for name, value in tensors.items():
        for old, new in renames:
            name = name.replace(old, new)
        if name in ("mossformer.norm.weight", "mossformer.norm.bias"):
            value = value.reshape(-1, 1)
        elif value.ndim == 3:
            value = value.transpose(0, 2, 1)
        elif value.ndim == 4:
            value = value.transpose(0, 2, 3, 1)
        out["model." + name] = np.ascontiguousarray(value)
    return out


def quantize(tensors, bits, group=64):
    """MLX affine quantization of every linear layer (as the conversions have)."""
    import mlx.core as mx

    out = {}
    for name, value in tensors.items():
        if name.endswith((".linear.weight", ".project.weight")):
            parts = mx.quantize(mx.array(value), group_size=group, bits=bits)
            base = name[: -len("weight")]
            for part, array in zip(("weight", "scales", "biases"), parts):
                out[base + part] = np.array(array)
        else:
            out[name] = value
    return out


def save(folder, tensors, **config):
    kinds = {"float32": "F32", "float16": "F16", "uint32": "U32"}
    folder.mkdir(parents=True, exist_ok=True)
    header, at = {}, 0
    for name in sorted(tensors):
        array = tensors[name]
        header[name] = {
            "dtype": kinds[str(array.dtype)],
            "shape": list(array.shape),
            "data_offsets": [at, at + array.nbytes],
        }
        at += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(folder / "model.safetensors", "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text)
        for name in sorted(tensors):
            f.write(np.ascontiguousarray(tensors[name]).tobytes())
    (folder / "config.json").write_text(
        json.dumps({"model_type": "mossformer2_se", **config}, indent=1)
    )


def speech_like(seconds, seed=1):
    """Harmonics with moving pitch, pauses, and noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(130 + 30 * np.sin(4.4 * t)) / RATE
    x = sum(np.sin(h * phase) / h for h in range(1, 16))
    x = 0.1 * x * np.clip(np.sin(13 * t), 0, None)
    return x + 0.02 * rng.standard_normal(len(t))


def write_wav(path, x):
    with wave.open(str(path), "wb") as w:
        w.setnchannels(1)
        w.setsampwidth(2)
        w.setframerate(RATE)
        w.writeframes(np.round(np.clip(x, -1, 1) * 32767).astype("<i2").tobytes())


def read_f32_wav(path):
    data = Path(path).read_bytes()
    at = data.index(b"data") + 8
    return np.frombuffer(data[at : at + (len(data) - at) // 4 * 4], "<f4")


def run(program, model, audio, out, *flags):
    """RTF without loading, and peak resident memory in MB."""
    command = [program, "enhance", audio, "--model", model, "--output", out]
    command += ["--sample-format", "f32", "--verbose", *flags]
    process = subprocess.Popen(
        [str(c) for c in command], stderr=subprocess.PIPE, text=True
    )
    log = process.stderr.read()
    found = re.search(r"RTF ([0-9.]+).* peak ([0-9]+) MB", log)
    if process.wait() != 0 or not found:
        sys.exit(f"{command} failed: {log}")
    if os.environ.get("MLX_AUDIO_PROFILE"):
        print(log)
    return float(found[1]), float(found[2]) * (1 << 20) / 1e6


def time_torch(upstream, tensors, seconds, dtype):
    import torch

    sys.path.insert(0, str(upstream))
    from models.mossformer2_se.mossformer2 import MossFormer_MaskNet

    net = MossFormer_MaskNet(180, 512, 961).eval()
    state = {k[len("mossformer.") :]: torch.from_numpy(v) for k, v in tensors.items()}
    missing, extra = net.load_state_dict(state, strict=False)
    assert not extra and all("freq" in name for name in missing), (missing, extra)
    x = torch.randn(1, 180, int((seconds * RATE - WINDOW) // HOP) + 1)
    times = []
    with torch.no_grad(), torch.autocast(
        "cpu", torch.bfloat16, enabled=dtype == "bfloat16"
    ):
        for _ in range(3):
            start = time.perf_counter()
            net(x)
            times.append(time.perf_counter() - start)
    return min(times) / seconds


def time_mlx_audio(folder, seconds):
    """RTF of Python's mlx-audio (0.6.2) on the same weights, after a first run."""
    from mlx_audio.sts.models.mossformer2_se import MossFormer2SEModel

    model = MossFormer2SEModel.from_pretrained(str(folder))
    audio = speech_like(seconds).astype(np.float32)
    times = []
    for _ in range(2):
        start = time.perf_counter()
        model.enhance(audio)
        times.append(time.perf_counter() - start)
    return min(times) / seconds


def seam_error(program, model, work, seconds, dtype):
    """A long file in windows against the same at once. With random weights the
    network tells windows apart by place and content, so that the two differ all
    over (rms, of the whole's): what a seam adds is the largest step from one
    sample to the next of that difference at a joint (in rms of the whole),
    beside the largest one between joints. Upstream's own segments, which are cut
    hard, are measured alike."""
    write_wav(work / "seams.wav", speech_like(seconds))

    def enhance(segments):
        out = work / f"{segments}.wav"
        flags = ["--dtype", dtype, "--segments", segments]
        run(program, model, work / "seams.wav", out, *flags)
        return read_f32_wav(out).astype(np.float64)

    whole = enhance("whole")
    level = np.sqrt((whole**2).mean())
    count = int(seconds * RATE)
    fades = [(19.25 + 19 * i, 19.75 + 19 * i) for i in range(int((seconds - 20) // 19) + 1)]
    cuts = [(3.5 + 3 * i, 3.5 + 3 * i) for i in range(int((seconds - 4) // 3) + 1)]
    for segments, joints in (("crossfade", fades), ("original", cuts)):
        difference = enhance(segments) - whole
        step = np.abs(np.diff(difference))[:-RATE] / level
        inside = np.ones(len(step), bool)
        inside[: RATE // 10] = False
        at = np.zeros(len(step), bool)
        for begin, end in joints:
            at[int(begin * RATE) - 2 : int(end * RATE) + 2] = True
        rms = np.sqrt((difference[: count - RATE] ** 2).mean()) / level
        print(
            f"seams     {dtype:9} {segments:9} rms {rms:.2f}  largest step at "
            f"{len(joints)} joints {step[at].max():.2f}, between them "
            f"{step[~at & inside].max():.2f}",
            flush=True,
        )


def long_file(program, model, work, seconds, dtype):
    """RTF and peak memory of a file of `seconds`, and of 40 s beside it."""
    minute = speech_like(60)
    with wave.open(str(work / "long.wav"), "wb") as w:
        w.setnchannels(1)
        w.setsampwidth(2)
        w.setframerate(RATE)
        block = np.round(np.clip(minute, -1, 1) * 32767).astype("<i2").tobytes()
        for _ in range(int(seconds // 60)):
            w.writeframes(block)
    write_wav(work / "short.wav", minute[: 40 * RATE])
    return {
        name: run(program, model, work / f"{name}.wav", work / "out.wav",
                  "--dtype", dtype)
        for name in ("short", "long")
    }


def first_output(program, model, dtype, hop, lookahead, seconds=6):
    """Feeds a pipe in real time. Seconds from a sample's arrival to its result's
    (for the first one from the start: the stated latency), largest and mean."""
    flags = ["--raw", f"{RATE}:1:f32", "--stream", "--format", "pcm"]
    flags += ["--sample-format", "f32", "--dtype", dtype]
    flags += ["--hop-seconds", str(hop), "--lookahead-seconds", str(lookahead)]
    command = [program, "enhance", "-", "--model", model, "--output", "-", *flags]
    process = subprocess.Popen(
        [str(c) for c in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    audio = speech_like(seconds).astype("<f4")
    block = RATE // 100
    time.sleep(4)  # the model is loaded; a service would be waiting as well
    start = time.perf_counter()

    def feed():
        for i in range(0, len(audio), block):
            time.sleep(max(0, start + (i + block) / RATE - time.perf_counter()))
            process.stdin.write(audio[i : i + block].tobytes())
        process.stdin.close()

    feeder = threading.Thread(target=feed)
    feeder.start()
    got, waits = 0, []
    while data := process.stdout.read(1 << 20):
        now = time.perf_counter() - start
        waits.append(now - got / 4 / RATE)  # of the oldest sample in it
        got += len(data)
    feeder.join()
    assert process.wait() == 0 and got == 4 * len(audio), got
    return waits[0], max(waits), sum(waits) / len(waits)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=16)
    parser.add_argument("--dtypes", default="float32,bfloat16,8,4")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--upstream", type=Path)
    parser.add_argument("--mlx-audio", type=float, default=0)
    parser.add_argument("--seams", type=float, default=0)
    parser.add_argument("--long", type=float, default=0)
    parser.add_argument("--latency", action="store_true")
    parser.add_argument("--torch-dtypes", default="float32")
    parser.add_argument(
        "--program", type=Path, default=ROOT / "build/release/bin/mlx-audio"
    )
    args = parser.parse_args()
    tensors = make_tensors()
    mlx = to_mlx(tensors)
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        write_wav(work / "in.wav", speech_like(args.seconds))
        save(work / "float", mlx)
        first = None
        for dtype in filter(None, args.dtypes.split(",")):
            model, flags = work / "float", ["--dtype", dtype]
            bits, _, kind = dtype.partition("-")
            if bits.isdigit():  # "4", or "4-bfloat16" to compute in bf16
                model, flags = work / bits, ["--dtype", kind] if kind else []
                save(
                    model,
                    quantize(mlx, int(bits)),
                    quantization_config={"group_size": 64, "bits": int(bits)},
                )
            results = [
                run(args.program, model, work / "in.wav", work / "out.wav", *flags)
                for _ in range(args.runs)
            ]
            audio = read_f32_wav(work / "out.wav")
            first = audio if first is None else first
            size = (model / "model.safetensors").stat().st_size / 2**20
            print(
                f"mlx-audio {dtype:10} RTF {min(r for r, _ in results):.4f}  peak "
                f"{max(m for _, m in results):4.0f} MB  file {size:3.0f} MB  "
                f"|d| max {np.abs(audio - first).max():.1e} "
                f"rms {np.sqrt(((audio - first) ** 2).mean() / (first**2).mean()):.1e}",
                flush=True,
            )
        if args.mlx_audio:
            rtf = time_mlx_audio(work / "float", args.mlx_audio)
            print(f"mlx-audio in Python, float32: RTF {rtf:.2f}", flush=True)
        if args.seams:
            seam_error(args.program, work / "float", work, args.seams, "float32")
        if args.long:
            found = long_file(args.program, work / "float", work, args.long, "bfloat16")
            for name, (rtf, peak) in found.items():
                print(f"{name:5}     bfloat16  RTF {rtf:.4f}  peak {peak:4.0f} MB", flush=True)
        if args.latency:
            for hop, lookahead in ((0.5, 0.2), (1.0, 0.2)):
                first, most, mean = first_output(
                    args.program, work / "float", "bfloat16", hop, lookahead
                )
                print(
                    f"live      bfloat16  stated {hop + lookahead + 0.03:.2f} s: first "
                    f"{first:.2f} s, largest {most:.2f} s, mean {mean:.2f} s",
                    flush=True,
                )
        if args.upstream:
            for dtype in args.torch_dtypes.split(","):
                rtf = time_torch(args.upstream, tensors, args.seconds, dtype)
                print(f"torch     {dtype:9} RTF {rtf:.4f} (network only)", flush=True)


if __name__ == "__main__":
    main()
