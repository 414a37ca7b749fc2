"""The flags of `mlx-audio convert` on real and tiny models of every architecture that is built."""
import json
import os
import pathlib
import pty
import re
import resource
import shutil
import signal
import subprocess
import sys
import wave

import mlx.core as mx
import numpy as np
import pytest

from program import PROGRAM, ROOT, fails, run

sys.path.insert(0, str(ROOT / "bench"))
import mossformer2  # noqa: E402

CLIP = ROOT / "tests/data/audio/speech_16k.wav"
STORE = pathlib.Path(os.environ.get("MLX_AUDIO_HOME") or
                     pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "mlx-audio")
MODELS = ["kokoro", "whisper-small", "qwen3-tts", "mossformer2", "csm"]
BITS, GROUPS = [2, 3, 4, 5, 6, 8], [32, 64, 128]


def save_small_whisper(folder):
    """whisper-tiny.en with a sixth of its width: what it writes is nonsense."""
    real = STORE / "models/whisper-tiny.en"
    shutil.copytree(real, folder, ignore=shutil.ignore_patterns("model.safetensors"), dirs_exist_ok=True)
    sizes, generation = config(real), json.loads((real / "generation_config.json").read_text())
    for side in ("audio", "text"):
        sizes[f"n_{side}_state"], sizes[f"n_{side}_head"] = 64, 2
    del generation["alignment_heads"]
    (folder / "config.json").write_text(json.dumps(sizes))
    (folder / "generation_config.json").write_text(json.dumps(generation))
    narrow = {384: 64, 1536: 256}
    cut = {name: mx.contiguous(t[tuple(slice(narrow.get(n, n)) for n in t.shape)]) for name, t in tensors(real).items()}
    mx.save_safetensors(str(folder / "model.safetensors"), cut, {"format": "mlx"})


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Where a model is: real weights unless named here, tiny ones where there are none or they are slow."""
    wide, small = tmp_path_factory.mktemp("mossformer2"), tmp_path_factory.mktemp("whisper-small")
    mossformer2.save(wide, mossformer2.to_mlx(mossformer2.make_tensors(dim=128, blocks=3)))
    save_small_whisper(small)
    tiny = {"qwen3-tts": "qwen3_tts", "csm": "csm"}
    return {"mossformer2": wide, "whisper-small": small,
            **{model: ROOT / f"tests/data/{folder}/checkpoints/base" for model, folder in tiny.items()}}


def listen(model, *flags, env=None):
    # What two bits hear would go on and on, and be tried again at each temperature.
    done = run("stt", CLIP, "--model", model, "--output", "-", "--temperature", 0, "--max-tokens", 48, *flags, env=env)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def works(model, folder, tmp_path):
    """A converted model loads and does what it is for, however rough its weights are."""
    out = tmp_path / "out.wav"
    if model == "kokoro":
        done = run("tts", "Hello there.", "--model", folder, "-o", out)
    elif model == "qwen3-tts":
        done = run("tts", "-m", folder, "-o", out, "--ref-audio", ROOT / "tests/data/qwen3_tts/inputs/ref.wav", "--x-vector-only",
                   "--max-tokens", 3, "--temperature", 0, "--", "Hello.")
    elif model == "csm":
        done = run("tts", "-m", folder, "-o", out, "--max-tokens", 3, "--min-new-tokens", 3, "--temperature", 0, "--", "Hello.")
    elif model == "mossformer2":
        noise = np.random.default_rng(0).normal(0, 3000, 24000).astype("<i2")
        with wave.open(str(tmp_path / "in.wav"), "wb") as w:
            w.setnchannels(1), w.setsampwidth(2), w.setframerate(48000)
            w.writeframes(noise.tobytes())
        done = run("enhance", tmp_path / "in.wav", "-m", folder, "-o", out)
    else:
        listen(folder)
        return
    assert done.returncode == 0, done.stderr.decode()
    with wave.open(str(out)) as w:
        assert w.getnframes() > 1000


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


def packed_layers(folder):
    """Bits and group size of each packed layer, as config.json says and as shapes prove."""
    how, made, found = config(folder)["quantization"], tensors(folder), {}
    for name in made:
        path = name.removesuffix(".scales")
        if path != name:
            own = how.get(path, how)
            columns = made[path + ".weight"].shape[1] * 32 // own["bits"]
            assert made[name].shape[1] * own["group_size"] == columns
            found[path] = (own["bits"], own["group_size"], own["mode"])
    assert found
    return found


# Each width and each group on every model; all pairs of them on one or the other.
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("bits", BITS)
def test_every_width_and_group_on_every_model(tmp_path, source, model, bits):
    group = GROUPS[(BITS.index(bits) + MODELS.index(model) + BITS.index(bits) // 3) % 3]
    if model in ("qwen3-tts", "csm") and group == 128:
        group = 64  # no layer of the tiny checkpoints is that wide
    convert(source.get(model, model), tmp_path / "q", "-q", "--q-bits", bits, "--q-group-size", group)
    assert set(packed_layers(tmp_path / "q").values()) == {(bits, group, "affine")}
    works(model, tmp_path / "q", tmp_path)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("mode,bits,group", [("mxfp4", 4, 32), ("nvfp4", 4, 16), ("mxfp8", 8, 32)])
def test_every_mode_on_every_model(tmp_path, source, model, mode, bits, group):
    convert(source.get(model, model), tmp_path / "q", "-q", "--q-mode", mode)
    assert set(packed_layers(tmp_path / "q").values()) == {(bits, group, mode)}
    works(model, tmp_path / "q", tmp_path)


@pytest.mark.parametrize("recipe", ["mixed_2_6", "mixed_3_4", "mixed_3_6", "mixed_4_6"])
@pytest.mark.parametrize("model", MODELS)
def test_mixed_recipes_work_on_every_model(tmp_path, source, model, recipe):
    low, high = map(int, recipe.split("_")[1:])
    convert(source.get(model, model), tmp_path / "q", "-q", "--q-group-size", 32, "--quant-predicate", recipe)
    assert config(tmp_path / "q")["quantization"]["bits"] == low
    layers = packed_layers(tmp_path / "q")
    assert {bits for bits, _, _ in layers.values()} == {low, high}
    if model == "whisper-small":  # which run as one with queries and keys of fewer bits
        assert layers["encoder.blocks.3.attn.value"][0] == high and layers["encoder.blocks.3.attn.query"][0] == low
        for dtype in ("float32", "bfloat16"):
            for kernels in ({}, {"MLX_AUDIO_KERNELS": "mlx"}):
                listen(tmp_path / "q", "--dtype", dtype, env=kernels)
    works(model, tmp_path / "q", tmp_path)


def test_a_mixed_whisper_hears_what_mlx_hears(tmp_path):
    convert("whisper-tiny.en", tmp_path / "q", "-q", "--q-group-size", 32, "--quant-predicate", "mixed_4_6")
    ours, theirs = (listen(tmp_path / "q", "--dtype", "float32", env=env) for env in ({}, {"MLX_AUDIO_KERNELS": "mlx"}))
    assert ours == theirs and len(ours.split()) > 3


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_types_on_every_model(tmp_path, source, model, dtype):
    convert(source.get(model, model), tmp_path / "plain", "--dtype", dtype)
    want = {getattr(mx, dtype)}
    floats = {t.dtype for t in tensors(tmp_path / "plain").values() if mx.issubdtype(t.dtype, mx.floating)}
    assert floats == want
    convert(source.get(model, model), tmp_path / "q", "-q", "--q-group-size", 32, "--dtype", dtype)
    floats = {t.dtype for t in tensors(tmp_path / "q").values() if mx.issubdtype(t.dtype, mx.floating)}
    assert floats == want
    works(model, tmp_path / "q", tmp_path)


@pytest.mark.parametrize("model", MODELS)
def test_round_trip(tmp_path, source, model):
    model_source = source.get(model, model)
    convert(model_source, tmp_path / "q", "-q", "--q-bits", 4, "--q-group-size", 32, "--dtype", "float32")
    convert(tmp_path / "q", tmp_path / "plain", "-d")
    convert(model_source, tmp_path / "f32", "--dtype", "float32")
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
    works(model, tmp_path / "plain", tmp_path)


def test_calibration_needs_nothing_but_the_model(tmp_path, source):
    flags = ("-q", "--q-bits", 3, "--calibrate")
    assert "calibrated on 16 sentences\n" in convert("kokoro", tmp_path / "kokoro", *flags)
    assert "calibrated on 16 sentences said by Kokoro\n" in convert(source["whisper-small"], tmp_path / "spoken", *flags)
    recordings = [ROOT / "tests/data/whisper" / f"en{i}.flac" for i in (1, 3)]
    beside = tmp_path / "beside"
    (beside / "heard.calibration").mkdir(parents=True)
    (beside / "heard.calibration/mine").write_text("kept")
    table = convert(source["whisper-small"], beside / "heard", *flags, "--calibration-audio", *recordings)
    assert "calibrated on 2 recordings\n" in table
    assert "calibrated on 2 recordings" in (beside / "heard/README.md").read_text()
    assert sorted(path.name for path in beside.iterdir()) == ["heard", "heard.calibration"]
    assert (beside / "heard.calibration/mine").read_text() == "kept"
    alone = run("convert", "--hf-path", source["whisper-small"], "--mlx-path", tmp_path / "alone", *flags,
                env={"MLX_AUDIO_HOME": str(tmp_path / "none"), "HF_HOME": str(tmp_path / "none")})
    assert alone.returncode == 0 and b"calibrated" not in alone.stdout, alone.stderr
    assert "refit by least squares" in (tmp_path / "alone/README.md").read_text()
    for model, made in (("kokoro", "kokoro"), ("whisper-small", "spoken"), ("whisper-small", "alone")):
        works(model, tmp_path / made, tmp_path)
    convert(source["mossformer2"], tmp_path / "moss", *flags)
    works("mossformer2", tmp_path / "moss", tmp_path)
    assert not list(tmp_path.glob("*.calibration*")) + list(tmp_path.glob("*.part-*"))
    fails(2, "not asked for", "convert", "--hf-path", "kokoro", "--mlx-path", tmp_path / "x", "-q",
          "--calibration-audio", recordings[0])


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
    process = subprocess.Popen([PROGRAM, "convert", "--hf-path", "whisper-tiny.en", "--mlx-path", tmp_path / "out", "-q"],
                               stdout=subprocess.DEVNULL, stderr=secondary)
    assert process.wait() == 0
    os.close(secondary)
    shown = os.read(primary, 1 << 20).decode()
    assert re.search(r"\[#*\.*\] +\d+ %  [\d.]+ of [\d.]+ MB", shown), shown
