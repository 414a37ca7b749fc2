"""Qwen3-TTS through the built binary, on tiny checkpoints with random weights.

MLX_AUDIO_QWEN3_CASES names a folder of other cases of the parity program.
"""
import base64
import json
import os
import pathlib
import shutil
import subprocess
import wave

import numpy as np
import openai
import pytest
from safetensors.numpy import load_file, save_file

from program import PROGRAM, fails, run
from server_program import serving

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


SPEECH = ROOT.parent / "audio" / "speech_16k.wav"


def clone(tmp_path, *flags, seed=1):
    """Standard error's lines and the audio."""
    out = tmp_path / "out.wav"
    done = run("tts", "-m", BASE, "-o", out, "--sample-format", "f32", "--ref-audio", SPEECH, "--max-tokens", 3,
               "--temperature", 0, *flags, "--", "Hello.")
    assert done.returncode == 0, done.stderr.decode()
    return done.stderr.decode().splitlines(), read_f32(out)


def test_whisper_writes_and_checks_the_reference_text(tmp_path):
    lines, auto = clone(tmp_path, "--ref-text", "auto")
    heard = next(line for line in lines if line.startswith("The reference says: ")).removeprefix("The reference says: ")
    assert len(heard.split()) > 5
    lines, given = clone(tmp_path, "--ref-text", heard)
    assert not any(line.startswith("warning") for line in lines)
    assert np.array_equal(auto, given)
    other = "These are quite different words, about the weather and the price of bread in spring."
    lines, _ = clone(tmp_path, "--ref-text", other)
    assert any("not what Whisper hears" in line and heard in line for line in lines)
    lines, _ = clone(tmp_path, "--ref-text", other, "--check-ref-text", "false")
    assert not any("Whisper" in line for line in lines)


def test_without_whisper_a_given_text_is_taken_and_auto_is_an_error(tmp_path):
    lines, _ = clone(tmp_path, "--ref-text", "Anything.", "--whisper", "whisper-of-nobody")
    assert not any("Whisper" in line for line in lines)
    fails(3, "whisper-of-nobody", "tts", "-m", BASE, "-o", tmp_path / "a.wav", "--ref-audio", SPEECH, "--ref-text", "auto",
          "--whisper", "whisper-of-nobody", "--", "Hello.")


def test_auto_text_of_a_recording_without_words(tmp_path):
    write_wav(tmp_path / "ref.wav", np.zeros(32000))
    done = run("tts", "-m", BASE, "-o", tmp_path / "a.wav", "--ref-audio", tmp_path / "ref.wav", "--ref-text", "auto",
               "--", "Hello.")
    assert done.returncode == 2
    assert "hears no words" in done.stderr.decode() or "silent" in done.stderr.decode()


def changed(tmp_path, base, config=(), generation=()):
    """A checkpoint with other settings."""
    model = tmp_path / "changed"
    shutil.copytree(base, model)
    for name, changes in (("config.json", config), ("generation_config.json", generation)):
        settings = json.loads((model / name).read_text())
        settings.update(dict(changes))
        (model / name).write_text(json.dumps(settings))
    return model


def test_generation_config_counts_and_arguments_win(tmp_path):
    greedy = changed(tmp_path, CUSTOM, generation={"do_sample": False, "subtalker_dosample": False, "max_new_tokens": 5})
    flags = ("--voice", "ryan", "--repetition-penalty", 1.05)
    result, told, _ = speak(tmp_path / "a.wav", *flags, "--seed", 1, model=greedy)
    assert (result["finish_reason"], len(told)) == ("length", 5 * 1920)
    _, asked, _ = speak(tmp_path / "b.wav", *flags, "--temperature", 0, "--max-tokens", 5)
    assert np.array_equal(told, asked)
    _, drawn, _ = speak(tmp_path / "c.wav", *flags, "--seed", 1, "--temperature", 0.9, "--max-tokens", 6, model=greedy)
    assert len(drawn) == 6 * 1920
    assert not np.array_equal(drawn[:len(told)], told)


def test_each_sampling_setting_has_effect(tmp_path):
    plain = {"--temperature": 3, "--subtalker-temperature": 3, "--voice": "ryan", "--seed": 4, "--max-tokens": 16,
             "--min-new-tokens": 16}

    def sound(changes):
        flags = [part for pair in {**plain, **changes}.items() for part in pair]
        return speak(tmp_path / "a.wav", *flags)[1]

    usual = sound({})
    for changes in ({"--temperature": 0.5}, {"--top-k": 2}, {"--top-p": 0.2}, {"--min-p": 0.6}, {"--repetition-penalty": 5},
                    {"--subtalker-temperature": 0.5}, {"--subtalker-top-k": 1}, {"--subtalker-top-p": 0.1}):
        other = sound(changes)
        assert len(other) == len(usual)
        assert not np.array_equal(other, usual), changes


def test_without_a_limit_the_texts_length_is_one(tmp_path):
    """The end is forbidden here: 150 frames and 20 a token are the most."""
    flags = ("--voice", "ryan", "--seed", 1, "--min-new-tokens", 100000)
    result, short, _ = speak(tmp_path / "a.wav", *flags, text="a")
    assert result["finish_reason"] == "length"
    assert 150 < len(short) // 1920 <= 170
    _, longer, _ = speak(tmp_path / "b.wav", *flags, text="a b c")
    assert len(longer) > len(short)


def test_a_designed_voice_follows_its_description(tmp_path):
    model = changed(tmp_path, CUSTOM, config={"tts_model_type": "voice_design"})
    fails(2, "needs a description", "tts", "-m", model, "-o", tmp_path / "x.wav", "--", "Hello.")
    flags = ("--seed", 1, "--max-tokens", 4, "--temperature", 0)
    _, calm, _ = speak(tmp_path / "a.wav", *flags, "--instruct", "a calm, deep male voice", model=model)
    _, bright, _ = speak(tmp_path / "b.wav", *flags, "--instruct", "a bright child", model=model)
    assert len(calm) == len(bright) == 4 * 1920
    assert not np.array_equal(calm, bright)
    fails(2, "no preset voices", "tts", "-m", model, "--voice", "ryan", "-o", tmp_path / "x.wav", "--", "Hello.")


def wide_predictor(tmp_path):
    """A checkpoint whose code predictor is wider than its talker, as the 1.7B's is narrower."""
    model = changed(tmp_path, BASE)
    config = json.loads((model / "config.json").read_text())
    talker = config["talker_config"]
    predictor = talker["code_predictor_config"]
    old, new = predictor["hidden_size"], 2 * predictor["hidden_size"]
    predictor["hidden_size"] = new
    (model / "config.json").write_text(json.dumps(config))
    weights = load_file(model / "model.safetensors")
    rng = np.random.default_rng(3)
    at = "talker.code_predictor."
    for name, value in list(weights.items()):
        if name.startswith(at) and "codec_embedding" not in name:
            # Hidden sizes are the inner axis of what reads and the outer of what writes.
            shape = list(value.shape)
            if name.endswith(("o_proj.weight", "down_proj.weight")) or "layernorm" in name or name == at + "model.norm.weight":
                shape[0] = new
            elif not name.endswith(("q_norm.weight", "k_norm.weight")):
                shape[1] = new
            weights[name] = (rng.standard_normal(shape) * (0.2 if len(shape) > 1 else 0.1) + (len(shape) == 1)).astype(np.float32)
    weights[at + "small_to_mtp_projection.weight"] = (rng.standard_normal((new, old)) * 0.3).astype(np.float32)
    weights[at + "small_to_mtp_projection.bias"] = (rng.standard_normal(new) * 0.1).astype(np.float32)
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    return model


@pytest.mark.parametrize("kind", ["custom_q4", "base_projection"])
def test_kernels_give_what_the_composition_gives(kind, tmp_path):
    model = CUSTOM if kind == "custom_q4" else wide_predictor(tmp_path)
    flags = ["--voice", "ryan"] if kind == "custom_q4" else ["--ref-audio", REFERENCE, "--x-vector-only"]
    sounds = []
    for kernels in ("", "mlx"):
        out = tmp_path / f"{kernels}.wav"
        done = run("tts", "-m", model, "-o", out, "--sample-format", "f32", "--temperature", 0, "--max-tokens", 12, *flags,
                   "--", "Hello there, my friend.", env={"MLX_AUDIO_KERNELS": kernels})
        assert done.returncode == 0, done.stderr.decode()
        sounds.append(read_f32(out))
    assert sounds[0].shape == sounds[1].shape
    assert np.abs(sounds[0] - sounds[1]).max() <= 1e-4


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 8])
def test_every_bit_width_speaks(bits, tmp_path):
    """Quantized here by MLX, with the predicate of mlx-audio's converter; kernels and composition agree."""
    import mlx.core as mx
    model = changed(tmp_path, BASE, config={"quantization": {"group_size": 32, "bits": bits}})
    weights = dict(mx.load(str(model / "model.safetensors")))
    for name in [n for n in weights if n.endswith("_proj.weight") or "lm_head" in n or n.endswith("codec_head.weight")]:
        if weights[name].shape[-1] % 32 == 0:
            path = name.removesuffix(".weight")
            parts = mx.quantize(weights[name], group_size=32, bits=bits)
            for suffix, part in zip(("weight", "scales", "biases"), parts):
                weights[f"{path}.{suffix}"] = part
    mx.save_safetensors(str(model / "model.safetensors"), weights, {"format": "pt"})
    sounds = []
    for kernels in ("", "mlx"):
        out = tmp_path / f"{kernels}.wav"
        done = run("tts", "-m", model, "-o", out, "--sample-format", "f32", "--temperature", 0, "--max-tokens", 6,
                   "--ref-audio", REFERENCE, "--x-vector-only", "--", "Hello there.", env={"MLX_AUDIO_KERNELS": kernels})
        assert done.returncode == 0, done.stderr.decode()
        sounds.append(read_f32(out))
    assert sounds[0].shape == sounds[1].shape and np.abs(sounds[0] - sounds[1]).max() <= 1e-4


def test_the_references_flags_work(tmp_path):
    link = tmp_path / "mlx_audio.tts.generate"
    link.symlink_to(PROGRAM)
    done = run("--model", BASE, "--text", "Hello.", "--ref_audio", SPEECH, "--temperature", "0", "--max_tokens", "3",
               "--output_path", tmp_path, "--join_audio", program=link)
    assert done.returncode == 0, done.stderr.decode()
    assert b"has no effect" not in done.stderr
    with wave.open(str(tmp_path / "audio.wav")) as sound:
        assert abs(sound.getnframes() - 3 * 1920) <= 1


BAD = [
    (CUSTOM, ["--voice", "nobody"], 2, "no voice 'nobody'"),
    (CUSTOM, [], 2, "needs a voice"),
    (CUSTOM, ["--voice", "ryan", "--language", "klingon"], 2, "'klingon'"),
    (CUSTOM, ["--voice", "ryan", "--ref-audio", REFERENCE], 5, "cannot imitate"),
    (CUSTOM, ["--voice", "ryan", "--speed", "1.5"], 5, "rate of speech"),
    (CUSTOM, ["--voice", "ryan", "--speed", "5"], 2, "speed 5.0 is out of range"),
    (CUSTOM, ["--voice", "ryan", "--temperature", "-1"], 2, "temperature -1"),
    (CUSTOM, ["--voice", "ryan", "--top-p", "2"], 2, "top_p 2"),
    (CUSTOM, ["--voice", "ryan", "--max-tokens", "0"], 2, "max_tokens 0"),
    (BASE, [], 2, "needs a recording"),
    (BASE, ["--voice", "ryan"], 2, "no preset voices"),
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


def test_the_server_writes_the_words_of_a_recording(tmp_path):
    with serving("--model", f"clone={BASE}") as server:
        client = server.client()
        words = client.audio.transcriptions.create(model="whisper-base", file=SPEECH).text

        def speak(voice="", **fields):
            fields = {"temperature": 0, "max_tokens": 3, **fields}
            return client.audio.speech.create(model="clone", input="Hello.", voice=voice, response_format="pcm",
                                              extra_body=fields).content

        recording = base64.b64encode(SPEECH.read_bytes()).decode()
        given = speak(ref_audio=recording, ref_text=words)
        assert given and speak(ref_audio=recording, ref_text="auto") == given
        assert speak(ref_audio=recording, ref_text="Something else.") != given
        voice = json.loads(subprocess.run(
            ["curl", "-sS", server.v1 + "/audio/voices", "-F", "name=mine", "-F", f"audio_sample=@{SPEECH}", "-F", "ref_text=auto"],
            capture_output=True, check=True).stdout)
        assert speak(voice["id"]) == given
        write_wav(tmp_path / "silence.wav", np.zeros(32000))
        silence = base64.b64encode((tmp_path / "silence.wav").read_bytes()).decode()
        with pytest.raises(openai.BadRequestError, match="no words|silent"):
            speak(ref_audio=silence, ref_text="auto")
    with serving("--model", f"clone={BASE}", "--transcription-model", "whisper-of-nobody") as server:
        client = server.client()
        with pytest.raises(openai.NotFoundError, match="whisper-of-nobody"):
            speak(ref_audio=recording, ref_text="auto")
