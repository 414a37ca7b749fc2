"""Checkpoints that Python's mlx-audio and `mlx-audio convert` make of the same source, each read by the other."""
import json
import os
import pathlib

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten
from mlx_audio.convert import convert
from mlx_audio.stt.utils import load_model as load_stt
from mlx_audio.tts.utils import load_model as load_tts

from program import ROOT, run

STORE = pathlib.Path(os.environ.get("MLX_AUDIO_HOME") or
                     pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "mlx-audio") / "models"
CLIP = ROOT / "tests/data/audio/speech_16k.wav"
mx.set_default_device(mx.cpu)


def ours(source, out, *flags):
    done = run("convert", "--hf-path", source, "--mlx-path", out, *flags, timeout=600)
    assert done.returncode == 0, done.stderr.decode()
    return out


def tensors(folder):
    found = {}
    for path in sorted(folder.glob("*.safetensors")):
        found.update(mx.load(str(path)))
    return found


def same_bits(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and bool(mx.array_equal(a.view(mx.uint8), b.view(mx.uint8)).item())


CASES = [("affine", bits, group) for bits in (2, 3, 4, 5, 6, 8) for group in (32, 64, 128)]
CASES += [("mxfp4", 4, 32), ("nvfp4", 4, 16), ("mxfp8", 8, 32)]


@pytest.mark.parametrize("mode,bits,group", CASES)
def test_packed_tensors_are_those_of_mx_quantize(tmp_path, mode, bits, group):
    dtype = [mx.float32, mx.float16, mx.bfloat16][CASES.index((mode, bits, group)) % 3]
    source = tmp_path / "source"
    source.mkdir()
    mx.random.seed(bits * 1000 + group)
    plain = {f"layers.{i}.{name}.weight": (mx.random.normal(shape) * 10.0 ** (i - 2)).astype(dtype)
             for i, shape in enumerate([(96, 256), (7, 128), (130, 384), (3, 640)]) for name in ("q_proj", "down_proj")}
    plain["layers.0.q_proj.weight"][3] = 0  # a row of zeros
    plain["norm.weight"] = mx.ones((256,), dtype)
    mx.save_safetensors(str(source / "model.safetensors"), plain, {"format": "mlx"})
    (source / "config.json").write_text('{"model_type": "test"}')
    made = tensors(ours(source, tmp_path / "out", "-q", "--q-mode", mode, "--q-bits", bits, "--q-group-size", group))
    packed = 0
    for name, weight in plain.items():
        path = name.removesuffix(".weight")
        if path + ".scales" not in made:
            assert same_bits(made[name], weight), name
            continue
        packed += 1
        parts = mx.quantize(weight, group, bits, mode)
        for suffix, part in zip((".weight", ".scales", ".biases"), parts):
            assert same_bits(made[path + suffix], part), path + suffix
    assert packed == 8


def test_per_layer_overrides_are_read_by_mlx(tmp_path):
    out = ours("kokoro", tmp_path / "k", "-q", "--quant-predicate", "mixed_3_6")
    config = json.loads((out / "config.json").read_text())
    overrides = {path: how for path, how in config["quantization"].items() if isinstance(how, dict)}
    assert overrides and config["quantization"]["bits"] == 3 and config["quantization"] == config["quantization_config"]
    assert {how["bits"] for how in overrides.values()} == {6}
    check_loaded(load_tts(out), tensors(out))


def check_loaded(model, stored):
    """The model's parameters are the file's, none left random."""
    parameters = dict(tree_flatten(model.parameters()))
    packed = [name for name in stored if name.endswith(".scales")]
    assert packed
    for name in packed:
        for suffix in (".weight", ".scales", ".biases"):
            key = name.removesuffix(".scales") + suffix
            assert same_bits(parameters[key], stored[key]), key


# The domain is named because guessing it makes the reference ask the Hub for other models.
@pytest.mark.parametrize("model,load,domain", [("whisper-tiny.en", load_stt, "stt"), ("kokoro", load_tts, "tts")])
def test_both_convert_to_the_same_and_read_each_other(tmp_path, model, load, domain):
    mine = ours(model, tmp_path / "mine", "-q", "--q-bits", 4)
    check_loaded(load(mine), tensors(mine))
    theirs = tmp_path / "theirs"
    convert(str(STORE / model), str(theirs), quantize=True, q_bits=4, model_domain=domain)
    a, b = tensors(mine), tensors(theirs)
    packed = sorted(name for name in b if name.endswith(".scales"))
    assert packed == sorted(name for name in a if name.endswith(".scales"))
    for name, tensor in a.items():
        assert same_bits(tensor, b[name]), name
    if model == "kokoro":
        sound = [np.frombuffer(run("tts", "Hello there.", "--model", folder, "-o", "-", "--format", "pcm").stdout, "<i2")
                 for folder in (mine, theirs)]
        assert len(sound[0]) == len(sound[1]) > 20000
        assert np.corrcoef(*(s.astype(float) for s in sound))[0, 1] > 0.99
        return
    texts = [run("stt", CLIP, "--model", folder, "--output", "-").stdout.decode() for folder in (mine, theirs)]
    assert texts[0] == texts[1] and len(texts[0].split()) > 3


def test_ours_dequantizes_what_python_quantized(tmp_path):
    theirs = tmp_path / "theirs"
    convert(str(STORE / "whisper-tiny.en"), str(theirs), quantize=True, q_bits=8, model_domain="stt")
    plain = tensors(ours(theirs, tmp_path / "plain", "-d"))
    stored = tensors(theirs)
    for name in stored:
        path = name.removesuffix(".scales")
        if path != name:
            want = mx.dequantize(stored[path + ".weight"], stored[name], stored[path + ".biases"], 64, 8)
            assert same_bits(plain[path + ".weight"], want), path
    original = tensors(STORE / "whisper-tiny.en")
    for name, weight in original.items():
        error = np.abs(np.array(plain[name].astype(mx.float32)) - np.array(weight.astype(mx.float32))).max()
        assert error <= 0.02 * np.abs(np.array(weight.astype(mx.float32))).max(), name
