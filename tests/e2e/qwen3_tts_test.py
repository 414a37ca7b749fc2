"""Qwen3-TTS through the built binary, on tiny checkpoints with random weights.

MLX_AUDIO_QWEN3_CASES names a folder of other cases of the parity program.
"""
import json
import os
import pathlib
import shutil
import wave

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from program import fails, run

ROOT = pathlib.Path(__file__).resolve().parents[1] / "data" / "qwen3_tts"
CASES = pathlib.Path(os.environ.get("MLX_AUDIO_QWEN3_CASES", ROOT))
BASE = ROOT / "checkpoints" / "base"
CUSTOM = ROOT / "checkpoints" / "custom_voice_q4"
REFERENCE = ROOT / "inputs" / "ref.wav"


def read_f32(path):
    data = path.read_bytes()
    return np.frombuffer(data[data.index(b"data") + 8:], dtype="<f4")


def cases(expect):
    for path in sorted(CASES.glob("*/case.json")):
        case = json.loads(path.read_text(encoding="utf-8"))
        if case["expect"] == expect and case["task"] in ("base", "custom_voice", "voice_design"):
            yield path.parent.name


def arguments(folder, case, out):
    p = case["params"]
    flags = ["tts", "-m", (folder / case["checkpoint"]).resolve(), "-o", out, "--sample-format", "f32", "--quiet",
             "-l", p["language"], "--temperature", 0, "--top-k", p["top_k"], "--top-p", p["top_p"],
             "--repetition-penalty", p["repetition_penalty"], "--max-tokens", p["max_tokens"]]
    for key, flag in (("voice", "--voice"), ("instruct", "--instruct"), ("ref_text", "--ref-text")):
        if p.get(key):
            flags += [flag, p[key]]
    if p.get("ref_audio"):
        flags += ["--ref-audio", folder / p["ref_audio"]]
    if p.get("x_vector_only_mode"):
        flags += ["--x-vector-only"]
    if "non_streaming_mode" in p:
        flags += ["--non-streaming-mode", str(p["non_streaming_mode"]).lower()]
    return flags + ["--", p["text"]]


def load(name):
    return CASES / name, json.loads((CASES / name / "case.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", list(cases("ok")))
def test_greedy_audio_is_the_references(name, tmp_path):
    folder, case = load(name)
    out = tmp_path / "out.wav"
    done = run(*arguments(folder, case, out))
    assert done.returncode == 0, done.stderr.decode()
    golden = load_file(folder / "golden.safetensors")["audio"]
    audio = read_f32(out)
    assert audio.shape == golden.shape
    # f32 rounding measures 1e-5 here.
    assert np.abs(audio - golden).max() <= 1e-4


@pytest.mark.parametrize("name", list(cases("error")))
def test_bad_cases_are_errors(name, tmp_path):
    folder, case = load(name)
    out = tmp_path / "out.wav"
    done = run(*arguments(folder, case, out))
    assert done.returncode in (2, 3, 4, 5), done.stderr.decode()
    assert not out.exists()


def speak(out, *flags, model=CUSTOM, text="Hello there, my friend."):
    done = run("tts", "-m", model, "-o", out, "--sample-format", "f32", "--quiet", "--json", *flags, "--", text)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout), read_f32(out), done.stderr.decode()


def test_stream_gives_the_samples_of_the_whole(tmp_path):
    flags = ("--voice", "vivian", "--seed", 3, "--max-tokens", 60)
    _, whole, _ = speak(tmp_path / "a.wav", *flags)
    _, stream, _ = speak(tmp_path / "b.wav", *flags, "--stream")
    assert whole.shape == stream.shape == (60 * 1920,)
    assert np.abs(whole - stream).max() <= 1e-5


def test_seeds_decide(tmp_path):
    flags = ("--voice", "ryan", "--max-tokens", 6)
    _, a, _ = speak(tmp_path / "a.wav", *flags, "--seed", 1)
    _, b, _ = speak(tmp_path / "b.wav", *flags, "--seed", 1)
    _, c, _ = speak(tmp_path / "c.wav", *flags, "--seed", 2)
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_max_tokens_is_told_as_length(tmp_path):
    result, audio, _ = speak(tmp_path / "a.wav", "--voice", "ryan", "--max-tokens", 3)
    assert result["finish_reason"] == "length"
    assert audio.shape == (3 * 1920,)


def test_long_text_is_spoken_in_pieces(tmp_path):
    text = "One sentence follows the other. 下一句话很短。 " * 60
    result, audio, _ = speak(tmp_path / "a.wav", "--voice", "ryan", "--seed", 1, "--max-tokens", 40, text=text)
    assert result["finish_reason"] == "length"
    assert audio.shape == (40 * 1920,)


def test_small_model_says_that_it_ignores_instructions(tmp_path):
    model = tmp_path / "model"
    shutil.copytree(CUSTOM, model)
    config = json.loads((model / "config.json").read_text())
    config["tts_model_size"] = "0b6"
    (model / "config.json").write_text(json.dumps(config))
    flags = ("--voice", "ryan", "--max-tokens", 3, "--temperature", 0)
    _, plain, _ = speak(tmp_path / "a.wav", *flags, model=model)
    _, told, error = speak(tmp_path / "b.wav", *flags, "--instruct", "very sad", model=model)
    assert np.array_equal(plain, told)
    assert "warning: the 0.6B CustomVoice model follows no instructions" in error


def test_voices_are_listed():
    done = run("tts", "-m", CUSTOM, "--list-voices")
    assert done.returncode == 0
    assert {"vivian", "ryan", "eric"} <= {line.split()[0] for line in done.stdout.decode().splitlines()}


def write_wav(path, samples):
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16000)
        out.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())


def noise(seconds):
    return 0.1 * np.random.default_rng(0).standard_normal(int(16000 * seconds))


def test_references_at_other_rates_are_resampled(tmp_path):
    write_wav(tmp_path / "ref.wav", noise(1.0))
    _, audio, _ = speak(tmp_path / "a.wav", "--ref-audio", tmp_path / "ref.wav", "--ref-text", "Words.",
                        "--max-tokens", 4, "--temperature", 0, model=BASE)
    assert abs(len(audio) - 4 * 1920) <= 1


BAD = [
    (CUSTOM, ["--voice", "nobody"], 3, "no voice 'nobody'"),
    (CUSTOM, [], 2, "needs a voice"),
    (CUSTOM, ["--voice", "ryan", "--language", "klingon"], 3, "'klingon'"),
    (CUSTOM, ["--voice", "ryan", "--ref-audio", REFERENCE], 5, "cannot imitate"),
    (CUSTOM, ["--voice", "ryan", "--speed", "1.5"], 5, "rate of speech"),
    (CUSTOM, ["--voice", "ryan", "--temperature", "-1"], 2, "temperature -1"),
    (CUSTOM, ["--voice", "ryan", "--top-p", "2"], 2, "top_p 2"),
    (CUSTOM, ["--voice", "ryan", "--max-tokens", "0"], 2, "max_tokens 0"),
    (BASE, [], 2, "needs a recording"),
    (BASE, ["--voice", "ryan"], 3, "no preset voices"),
    (BASE, ["--ref-text", "Hello."], 2, "without --ref-audio"),
    (BASE, ["--ref-audio", REFERENCE], 2, "has no text"),
    (BASE, ["--ref-audio", REFERENCE, "--x-vector-only", "--instruct", "sad"], 5, "no instructions"),
    (BASE, ["--ref-audio", "/nonexistent.wav", "--ref-text", "Hello."], 3, "/nonexistent.wav"),
]


@pytest.mark.parametrize("model, flags, code, words", BAD)
def test_bad_requests(model, flags, code, words, tmp_path):
    fails(code, words, "tts", "-m", model, "-o", tmp_path / "out.wav", *flags, "--", "Hello.")
    assert not (tmp_path / "out.wav").exists()


@pytest.mark.parametrize("samples, code, words", [
    (noise(0.1), 2, "too short"),
    (noise(61), 10, "more than 60 s"),
    (np.zeros(16000), 2, "silent"),
])
def test_bad_recordings(samples, code, words, tmp_path):
    write_wav(tmp_path / "ref.wav", samples)
    fails(code, words, "tts", "-m", BASE, "-o", tmp_path / "out.wav", "--ref-audio", tmp_path / "ref.wav",
          "--ref-text", "Hello.", "--", "Hello.")


def test_unreadable_recording(tmp_path):
    (tmp_path / "ref.wav").write_bytes(b"no sound at all")
    done = run("tts", "-m", BASE, "-o", tmp_path / "out.wav", "--ref-audio", tmp_path / "ref.wav",
               "--ref-text", "Hello.", "--", "Hello.")
    assert done.returncode in (4, 5)
    assert "ref.wav" in done.stderr.decode().splitlines()[0]


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(CUSTOM, folder)
    return folder


def broken(code, words, model, tmp_path):
    fails(code, words, "tts", "-m", model, "-o", tmp_path / "out.wav", "--voice", "ryan", "--", "Hello.")


def test_missing_speech_tokenizer(model, tmp_path):
    shutil.rmtree(model / "speech_tokenizer")
    broken(3, "no speech tokenizer", model, tmp_path)


@pytest.mark.parametrize("change, words", [
    (lambda w: w.pop("talker.model.layers.0.self_attn.q_norm.weight"), "q_norm.weight' is missing"),
    (lambda w: w.update({"talker.model.norm.weight": w["talker.model.norm.weight"][:-1]}), "has shape"),
    (lambda w: w.update(extra=np.zeros(3, np.float32)), "'extra'"),
])
def test_broken_weights(change, words, model, tmp_path):
    weights = load_file(model / "model.safetensors")
    change(weights)
    save_file(weights, model / "model.safetensors", metadata={"format": "mlx"})
    broken(4, words, model, tmp_path)


def test_text_beyond_the_context(model, tmp_path):
    config = json.loads((model / "config.json").read_text())
    config["talker_config"]["max_position_embeddings"] = 16
    (model / "config.json").write_text(json.dumps(config))
    broken(10, "context 16", model, tmp_path)
