"""The flags of `mlx-audio convert` on real and tiny models of every architecture that is built."""
import json
import os
import pty
import re
import resource
import signal
import subprocess

import mlx.core as mx
import pytest

from program import PROGRAM, ROOT, fails, run

CLIP = ROOT / "tests/data/audio/speech_16k.wav"
TINY = ROOT / "tests/data/qwen3_tts/checkpoints/base"


def convert(source, out, *flags):
    done = run("convert", "--hf-path", source, "--mlx-path", out, *flags)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def config(folder):
    return json.loads((folder / "config.json").read_text())


def tensors(folder):
    found = {}
    for path in folder.glob("*.safetensors"):
        found.update(mx.load(str(path)))
    return found


def test_plan_and_closing_table(tmp_path):
    plan = convert("whisper-tiny.en", tmp_path / "out", "-q", "--q-bits", 6, "--dry-run")
    assert not (tmp_path / "out").exists() and "nothing was written" in plan
    table = convert("whisper-tiny.en", tmp_path / "out", "-q", "--q-bits", 6)
    row = re.compile(r"^(\S+) +(\[\d+, \d+\]) +6/64 +([\d.]+) +([\d.]+)", re.M)
    assert row.findall(plan) == row.findall(table) and len(row.findall(plan)) == 65
    errors = [float(m) for m in re.findall(r"6/64 +[\d.]+ +[\d.]+ +([\d.]+) +\S+$", table, re.M)]
    assert len(errors) == 65 and all(0 < error < 0.05 for error in errors)
    weights = (tmp_path / "out/model.safetensors").stat().st_size
    size = re.search(r"-> ([\d.]+) MB, ([\d.]+) bits per weight", table)
    assert abs(float(size[1]) - weights / 1e6) < 0.2 and 6 < float(size[2]) < 9
    card = (tmp_path / "out/README.md").read_text()
    assert "license: mit" in card and "- 6-bit" in card and "affine 6-bit, groups of 64" in card
    for name in ["tokenizer.json", "generation_config.json", "preprocessor_config.json", "model.safetensors.index.json"]:
        assert (tmp_path / "out" / name).exists()


@pytest.mark.parametrize("recipe", ["mixed_2_6", "mixed_3_4", "mixed_3_6", "mixed_4_6"])
@pytest.mark.parametrize("model", ["kokoro", "whisper-tiny.en", TINY])
def test_mixed_recipes_work_on_every_model(tmp_path, model, recipe):
    low, high = map(int, recipe.split("_")[1:])
    convert(model, tmp_path / "out", "-q", "--q-group-size", 32, "--quant-predicate", recipe)
    how = config(tmp_path / "out")["quantization"]
    layers = {path: value["bits"] for path, value in how.items() if isinstance(value, dict)}
    assert how["bits"] == low and layers and set(layers.values()) == {high}
    made = tensors(tmp_path / "out")
    for name in made:
        path = name.removesuffix(".scales")
        if path != name:
            assert made[path + ".weight"].shape[1] * 32 == made[name].shape[1] * 32 * layers.get(path, low)
    if model == "kokoro":
        assert len(run("tts", "Hello there.", "--model", tmp_path / "out", "-o", "-", "--format", "pcm").stdout) > 20000
    elif model == "whisper-tiny.en":
        assert run("stt", CLIP, "--model", tmp_path / "out", "--output", "-").returncode == 0


@pytest.mark.parametrize("model", ["kokoro", "whisper-tiny.en", TINY])
def test_round_trip(tmp_path, model):
    convert(model, tmp_path / "q", "-q", "--q-bits", 4, "--q-group-size", 32, "--dtype", "float32")
    convert(tmp_path / "q", tmp_path / "plain", "-d")
    convert(model, tmp_path / "f32", "--dtype", "float32")
    assert "quantization" not in config(tmp_path / "plain")
    packed, plain = tensors(tmp_path / "q"), tensors(tmp_path / "plain")
    for name in packed:
        path = name.removesuffix(".scales")
        if path != name:
            want = mx.dequantize(packed[path + ".weight"], packed[name], packed[path + ".biases"], 32, 4)
            assert mx.array_equal(plain[path + ".weight"], want)
    if model != "kokoro":  # whose quantized layout has other names
        exact = tensors(tmp_path / "f32")
        assert set(exact) == set(plain)
        for name, weight in exact.items():
            assert mx.linalg.norm(plain[name] - weight, stream=mx.cpu) <= 0.15 * mx.linalg.norm(weight, stream=mx.cpu), name
    assert sorted(p.name for p in (tmp_path / "plain").iterdir()) == sorted(p.name for p in (tmp_path / "f32").iterdir())


def test_what_is_not_offered_is_named(tmp_path):
    out = tmp_path / "out"
    base = ("convert", "--hf-path", "whisper-tiny.en", "--mlx-path", out)
    fails(2, "7 bits are not offered", *base, "-q", "--q-bits", 7)
    fails(2, "a group size of 48 is not offered", *base, "-q", "--q-group-size", 48)
    fails(2, "4 bits are not offered in mode mxfp8", *base, "-q", "--q-mode", "mxfp8", "--q-bits", 4)
    fails(2, "does not go with mode mxfp4", *base, "-q", "--q-mode", "mxfp4", "--quant-predicate", "mixed_3_6")
    fails(2, "exclude each other", *base, "-q", "-d")
    fails(2, "is not quantized", *base, "-d")
    fails(2, "not asked for", *base, "--q-bits", 4)
    assert not list(tmp_path.iterdir())
    out.mkdir()
    (out / "mine").write_text("x")
    fails(2, "exists already", *base)
    assert [p.name for p in tmp_path.iterdir()] == ["out"] and (out / "mine").read_text() == "x"


def test_no_space_leaves_nothing(tmp_path):
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, 5_000_000))

    done = subprocess.run([PROGRAM, "convert", "--hf-path", "whisper-tiny.en", "--mlx-path", tmp_path / "out"],
                          preexec_fn=limit, capture_output=True, check=False)
    assert done.returncode == 6 and done.stderr.startswith(b"mlx-audio: "), done.stderr
    assert not list(tmp_path.iterdir())


def test_a_bar_shows_how_far_it_is(tmp_path):
    primary, secondary = pty.openpty()
    process = subprocess.Popen([PROGRAM, "convert", "--hf-path", "whisper-base", "--mlx-path", tmp_path / "out", "-q"],
                               stdout=subprocess.DEVNULL, stderr=secondary)
    assert process.wait() == 0
    os.close(secondary)
    shown = os.read(primary, 1 << 20).decode()
    assert re.search(r"\[#*\.*\] +\d+ %  [\d.]+ of [\d.]+ MB", shown), shown
