#!/usr/bin/env python3
"""Makes tests/data/mossformer2_se/golden.safetensors from upstream's torch code.

    make_golden.py --upstream FOLDER --torchaudio FOLDER

--upstream: the folder clearvoice/ of PyPI clearvoice 0.1.2, unpacked.
--torchaudio: PyPI torchaudio 2.11.0, unpacked (its Python files only).
Needs torch 2.13.0, einops, rotary-embedding-torch and torchinfo. Weights and
signals are those of tests/unit/mossformer2_se/tiny_model.h.
"""

import argparse
import importlib.util
import json
import sys
import types
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

DIM, BLOCKS, RATE, WINDOW, HOP = 32, 2, 48000, 1920, 384
OUT = Path(__file__).resolve().parents[2] / "data" / "mossformer2_se"


def noise(seed, count):
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(
            0x9E3779B97F4A7C15
        )
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return ((z >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1).astype(np.float32)


def fnv(text):
    h = 0xCBF29CE484222325
    for c in text.encode():
        h = ((h ^ c) * 0x100000001B3) % 2**64
    return h


def tensor(name, shape):
    around, scale = 0.0, 0.1
    if name.endswith(("gamma", "beta")):
        scale = 0.5
    elif len(shape) > 1:
        scale = float(np.sqrt(3 / np.prod(shape[1:])))
        scale *= 2 if name == "conv1_decoder.weight" else 1
    elif name.endswith("conv1.1.weight") or name == "prelu.weight":
        around = 0.25
    elif not name.endswith("bias"):
        around = 1.0
    values = noise(fnv(name), int(np.prod(shape)))
    return np.float32(around) + np.float32(scale) * values.reshape(shape)


def signal(count):
    t = np.arange(count) / 48000
    phase = 2 * np.pi * (150 * t + 40 * t * t)
    voice = sum(np.sin(h * phase) / h for h in range(1, 9))
    v = 0.15 * voice * np.maximum(0, np.sin(9 * t)) + 0.02 * noise(7, count)
    return (np.round(v * 32768) / 32768).astype(np.float32)


def load_kaldi(folder):
    sys.modules["torchaudio"] = types.ModuleType("torchaudio")
    spec = importlib.util.spec_from_file_location(
        "kaldi", folder / "torchaudio" / "compliance" / "kaldi.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def deltas(x):
    kernel = torch.arange(-2.0, 3.0).repeat(x.shape[0], 1, 1)
    padded = F.pad(x[None], (2, 2), mode="replicate")
    return F.conv1d(padded, kernel, groups=x.shape[0])[0] / 10


def features(kaldi, x):
    f = kaldi.fbank(
        x[None],
        dither=0.0,
        frame_length=WINDOW / RATE * 1000,
        frame_shift=HOP / RATE * 1000,
        num_mel_bins=60,
        sample_frequency=RATE,
        window_type="hamming",
    ).T
    d = deltas(f)
    return torch.cat([f, d, deltas(d)]).T


def process(net, kaldi, x, taps=None):
    """One window at 16-bit scale."""
    x = torch.from_numpy(x.astype(np.float32) * 32768)
    f = features(kaldi, x)
    hooks = []
    if taps is not None:
        taps["fbank"] = f.numpy()
        stack = net.mdl.intra_mdl.mossformerM

        def keep(name, transpose=False):
            def hook(module, inputs, output):
                y = output.detach()[0]
                taps[name] = (y.T if transpose else y).numpy().copy()

            return hook

        hooks.append(net.conv1d_encoder.register_forward_hook(keep("encoder", True)))
        for i in range(BLOCKS):
            hooks.append(stack.layers[i].register_forward_hook(keep(f"layer{i}")))
            hooks.append(stack.fsmn[i].register_forward_hook(keep(f"block{i}")))
    mask = net(f.T[None])[0]
    for hook in hooks:
        hook.remove()
    if taps is not None:
        taps["mask"] = mask.numpy().copy()
    window = torch.hamming_window(WINDOW, periodic=False)
    spectrum = torch.stft(
        x, WINDOW, HOP, WINDOW, window=window, center=False, return_complex=True
    )
    y = torch.istft(
        spectrum * mask.T, WINDOW, HOP, WINDOW, window=window, center=False,
        length=len(x),
    )
    return (y / 32768).numpy()


def segmented(net, kaldi, x, window):
    """Upstream's decode of what is longer than its limit."""
    stride, t = int(window * 0.75), len(x)
    if t < window + stride:
        pad = window + stride - t
    else:
        pad = t - (t - window) // stride * stride if (t - window) % stride else 0
    padded = np.concatenate([x, np.zeros(pad, np.float32)])
    out, drop = np.zeros(len(padded), np.float32), (window - stride) // 2
    for at in range(0, len(padded) - window + 1, stride):
        y = process(net, kaldi, padded[at : at + window])
        low = 0 if at == 0 else drop
        out[at + low : at + window - drop] = y[low : window - drop]
    return out[:t]


def save(path, tensors):
    header, at = {}, 0
    arrays = {k: np.ascontiguousarray(v, np.float32) for k, v in sorted(tensors.items())}
    for name, a in arrays.items():
        header[name] = {
            "dtype": "F32",
            "shape": list(a.shape),
            "data_offsets": [at, at + a.nbytes],
        }
        at += a.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text)
        for a in arrays.values():
            f.write(a.tobytes())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--upstream", type=Path, required=True)
    parser.add_argument("--torchaudio", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    kaldi = load_kaldi(args.torchaudio)
    sys.path.insert(0, str(args.upstream))
    from models.mossformer2_se.mossformer2 import MossFormer_MaskNet

    net = MossFormer_MaskNet(180, DIM, 961, num_blocks=BLOCKS).eval()
    state = net.state_dict()
    for name, value in state.items():
        if not name.endswith(("freqs", "inv_freq")):
            state[name] = torch.from_numpy(tensor(name, tuple(value.shape)))
    net.load_state_dict(state)

    golden = {}
    with torch.no_grad():
        taps = {}
        golden["short.audio"] = process(net, kaldi, signal(14400), taps)
        for name, value in taps.items():
            rows = np.linspace(0, len(value) - 1, 9).astype(int)
            golden["short." + name] = value if name == "fbank" else value[rows]
        # 291 frames: more than one attention group. 300 samples behind them.
        groups = process(net, kaldi, signal(1920 + 290 * 384 + 300))
        golden["groups.audio"] = groups[::3]
        # One second is the window of config.json here, two the limit.
        golden["segmented.audio"] = segmented(net, kaldi, signal(110000), 48000)[::3]
        golden["segmented_exact.audio"] = segmented(net, kaldi, signal(120000), 48000)[
            ::3
        ]
    for name, value in golden.items():
        print(name, value.shape, float(np.abs(value).max()), float(value.std()))
    save(OUT / "golden.safetensors", golden)


if __name__ == "__main__":
    main()
