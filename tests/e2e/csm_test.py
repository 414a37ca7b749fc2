"""CSM through the built binary, on tiny checkpoints with random weights.

MLX_AUDIO_CSM_CASES names a folder of other cases of the parity program.
"""
import base64
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import wave

import numpy as np
import openai
import pytest
from safetensors.numpy import load_file, save_file

from program import PROGRAM, fails, run
from server_program import serving

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
ROOT = REPOSITORY / "tests" / "data" / "csm"
CASES = pathlib.Path(os.environ.get("MLX_AUDIO_CSM_CASES", ROOT))
BASE = ROOT / "checkpoints" / "base"
Q4 = ROOT / "checkpoints" / "q4"
REFERENCE = ROOT / "inputs" / "ref.wav"
CODEC = "tokenizer-e351c8d8-checkpoint125.safetensors"
FRAME = 1920


def read_f32(path):
    data = path.read_bytes()
    return np.frombuffer(data[data.index(b"data") + 8:], dtype="<f4")


def load(name):
    return CASES / name, json.loads((CASES / name / "case.json").read_text(encoding="utf-8"))


def cases(expect):
    for path in sorted(CASES.glob("*/case.json")):
        case = json.loads(path.read_text(encoding="utf-8"))
        # A conversation of several recordings is for the library's layers, not for a request.
        if case["expect"] == expect and case["task"] == "tts" and not case["params"].get("context"):
            yield path.parent.name


def model_of(folder, case, tmp_path):
    model = (folder / case["checkpoint"]).resolve()
    if not case["params"]["voice_match"]:
        return model
    return changed(tmp_path, model, {"voice_match": True})


def arguments(folder, case, model, out):
    p = case["params"]
    flags = ["tts", "-m", model, "-o", out, "--sample-format", "f32", "--quiet", "--temperature", 0, "--top-k", p["top_k"],
             "--max-tokens", p["max_audio_length_ms"] // 80]
    if p.get("voice") or not p.get("ref_audio") or p["speaker"]:
        flags += ["--voice", p.get("voice") or p["speaker"]]
    for key, flag in (("ref_text", "--ref-text"),):
        if p.get(key):
            flags += [flag, p[key]]
    if p.get("ref_audio"):
        flags += ["--ref-audio", folder / p["ref_audio"]]
    return flags + ["--", p["text"]]


def changed(tmp_path, base, config=(), generation=(), remove=()):
    """A checkpoint with other settings."""
    model = tmp_path / "changed"
    shutil.copytree(base, model)
    for name, changes in (("config.json", config), ("generation_config.json", generation)):
        settings = json.loads((model / name).read_text())
        settings.update(dict(changes))
        for key in remove:
            settings.pop(key, None)
        (model / name).write_text(json.dumps(settings))
    return model


@pytest.mark.parametrize("name", list(cases("ok")))
def test_greedy_audio_is_the_references(name, tmp_path):
    folder, case = load(name)
    out = tmp_path / "out.wav"
    done = run(*arguments(folder, case, model_of(folder, case, tmp_path), out))
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
    done = run(*arguments(folder, case, (folder / case["checkpoint"]).resolve(), out))
    assert done.returncode in (2, 3, 4, 10), done.stderr.decode()
    assert not out.exists()


def speak(out, *flags, model=BASE, text="Hello there, my friend.", env=None):
    done = run("tts", "-m", model, "-o", out, "--sample-format", "f32", "--quiet", "--json", *flags, "--", text, env=env)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout), read_f32(out), done.stderr.decode()


LONG = ("--max-tokens", 40, "--min-new-tokens", 40)


def test_stream_gives_the_samples_of_the_whole(tmp_path):
    _, whole, _ = speak(tmp_path / "a.wav", "--seed", 3, *LONG)
    _, stream, _ = speak(tmp_path / "b.wav", "--seed", 3, *LONG, "--stream")
    assert whole.shape == stream.shape == (40 * FRAME,)
    assert np.abs(whole - stream).max() <= 1e-5


def test_seeds_decide(tmp_path):
    flags = ("--voice", "conversational_b", "--max-tokens", 6, "--min-new-tokens", 6)
    _, a, _ = speak(tmp_path / "a.wav", *flags, "--seed", 1)
    _, b, _ = speak(tmp_path / "b.wav", *flags, "--seed", 1)
    _, c, _ = speak(tmp_path / "c.wav", *flags, "--seed", 2)
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_the_end_frame_is_told_as_stop_and_a_limit_as_length(tmp_path):
    folder, case = load("clone_hf")
    p = case["params"]
    flags = ("--temperature", 0, "--ref-audio", folder / p["ref_audio"], "--ref-text", p["ref_text"])
    result, whole, _ = speak(tmp_path / "a.wav", *flags, text=p["text"])
    assert (result["finish_reason"], len(whole)) == ("stop", case["notes"]["frames"] * FRAME)
    result, cut, _ = speak(tmp_path / "b.wav", *flags, "--max-tokens", 3, text=p["text"])
    assert (result["finish_reason"], len(cut)) == ("length", 3 * FRAME)
    assert np.abs(cut - whole[:len(cut)]).max() <= 1e-5
    result, on, _ = speak(tmp_path / "c.wav", *flags, "--max-tokens", 9, "--min-new-tokens", 9, text=p["text"])
    assert (result["finish_reason"], len(on)) == ("length", 9 * FRAME)


def test_long_text_is_spoken_in_pieces(tmp_path):
    text = "One sentence follows the other, and it goes on. 下一句话很短。 " * 30
    result, audio, _ = speak(tmp_path / "a.wav", "--seed", 1, "--max-tokens", 40, text=text)
    assert result["finish_reason"] == "length"
    assert audio.shape == (40 * FRAME,)


def test_a_made_up_voice_is_carried_from_piece_to_piece(tmp_path):
    """What the second piece says depends on the first without a recording, and with one does not: both go on from that.

    The codec looks back two positions here, so that its memory of the first piece is over at the last frame.
    """
    codec = json.loads((BASE / "config.json").read_text())["codec_config"]
    model = changed(tmp_path, BASE, {"codec_config": {**codec, "sliding_window": 2}})
    rest = " And this is what both of them end with" + ", and it goes on" * 9 + ". It ends here" + ", but not yet" * 5 + "."
    frames = ("--max-tokens", 240, "--min-new-tokens", 240, "--temperature", 0)
    for voice, same in ((0, False), ("conversational_a", True)):
        ends = [speak(tmp_path / "a.wav", "--voice", voice, *frames, model=model, text=start + rest)[1] for start in ("Q.", "X.")]
        assert [len(end) for end in ends] == 2 * [240 * FRAME]
        assert not np.array_equal(ends[0][:FRAME], ends[1][:FRAME])
        assert (np.abs(ends[0][-FRAME:] - ends[1][-FRAME:]).max() <= 1e-6) == same, voice


def test_voices_are_listed():
    done = run("tts", "-m", BASE, "--list-voices")
    assert done.returncode == 0
    assert {line.split()[0] for line in done.stdout.decode().splitlines()} >= {"conversational_a", "conversational_b"}


def test_the_default_voice_is_the_first_and_a_number_is_a_speaker(tmp_path):
    flags = ("--temperature", 0, "--max-tokens", 4, "--min-new-tokens", 4)
    _, default, _ = speak(tmp_path / "a.wav", *flags)
    _, named, _ = speak(tmp_path / "b.wav", *flags, "--voice", "conversational_a")
    _, other, _ = speak(tmp_path / "c.wav", *flags, "--voice", "conversational_b")
    _, none, _ = speak(tmp_path / "d.wav", *flags, "--voice", 0)
    _, speaker, _ = speak(tmp_path / "e.wav", *flags, "--voice", 1)
    assert np.array_equal(default, named)
    for sound in (other, none):
        assert not np.array_equal(default, sound)
    assert not np.array_equal(none, speaker)


def test_without_a_default_voice_one_must_be_asked_for(tmp_path):
    model = changed(tmp_path, BASE)
    shutil.rmtree(model / "prompts")
    out = tmp_path / "a.wav"
    fails(2, "no default voice", "tts", "-m", model, "-o", out, "--", "Hello.")
    fails(2, "no voice 'conversational_a'", "tts", "-m", model, "-o", out, "--voice", "conversational_a", "--", "Hello.")
    speak(out, "--voice", 0, "--max-tokens", 2, model=model)
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "use_default_voice_prompt": False}))
    speak(out, "--max-tokens", 2, model=model)


def test_a_voice_needs_its_text(tmp_path):
    model = changed(tmp_path, BASE)
    (model / "prompts" / "me.wav").write_bytes(REFERENCE.read_bytes())
    fails(4, "me.txt", "tts", "-m", model, "-o", tmp_path / "a.wav", "--voice", "me", "--", "Hello.")
    # The texts of the released recordings are known.
    (model / "prompts" / "conversational_a.txt").unlink()
    speak(tmp_path / "b.wav", "--max-tokens", 2, model=model)


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
    _, audio, _ = speak(tmp_path / "a.wav", "--ref-audio", tmp_path / "ref.wav", "--ref-text", "Words.", "--max-tokens", 4,
                        "--min-new-tokens", 4, "--temperature", 0)
    assert len(audio) == 4 * FRAME


def test_one_generation_leaves_nothing_to_the_next():
    """Requests of one loaded model: the same one before and after another, which the codec's state would tell apart."""
    with serving("--model", f"csm={BASE}") as server:
        client = server.client()

        def said(text, voice):
            return client.audio.speech.create(model="csm", input=text, voice=voice, response_format="pcm",
                                              extra_body={"temperature": 0, "max_tokens": 4, "min_new_tokens": 4}).content

        before = said("Hello.", "conversational_a")
        assert said("Something else.", "conversational_b") != before
        assert said("Hello.", "conversational_a") == before


def test_generation_config_counts_and_arguments_win(tmp_path):
    greedy = changed(tmp_path, BASE, generation={"do_sample": False, "depth_decoder_do_sample": False})
    flags = ("--max-tokens", 5, "--min-new-tokens", 5)
    _, told, _ = speak(tmp_path / "a.wav", *flags, "--seed", 1, model=greedy)
    _, asked, _ = speak(tmp_path / "b.wav", *flags, "--temperature", 0)
    assert np.array_equal(told, asked)
    _, drawn, _ = speak(tmp_path / "c.wav", *flags, "--seed", 1, "--temperature", 0.9, model=greedy)
    assert not np.array_equal(drawn, told)


def test_each_sampling_setting_has_effect(tmp_path):
    plain = {"--temperature": 3, "--subtalker-temperature": 3, "--seed": 4, "--max-tokens": 12, "--min-new-tokens": 12}

    def sound(changes):
        flags = [part for pair in {**plain, **changes}.items() for part in pair]
        return speak(tmp_path / "a.wav", *flags)[1]

    usual = sound({})
    for changes in ({"--temperature": 0.5}, {"--top-k": 2}, {"--top-p": 0.2}, {"--min-p": 0.6}, {"--repetition-penalty": 5},
                    {"--subtalker-temperature": 0.5}, {"--subtalker-top-k": 1}, {"--subtalker-top-p": 0.1}):
        other = sound(changes)
        assert len(other) == len(usual)
        assert not np.array_equal(other, usual), changes


@pytest.mark.parametrize("model", [BASE, Q4])
def test_kernels_give_what_the_composition_gives(model, tmp_path):
    sounds = []
    for kernels in ("", "mlx"):
        _, audio, _ = speak(tmp_path / f"{kernels}.wav", "--temperature", 0, "--max-tokens", 8, "--min-new-tokens", 8, "--voice", 0,
                            model=model, env={"MLX_AUDIO_KERNELS": kernels})
        sounds.append(audio)
    assert sounds[0].shape == sounds[1].shape == (8 * FRAME,)
    assert np.abs(sounds[0] - sounds[1]).max() <= 1e-4


@pytest.mark.parametrize("bits", [3, 4, 6, 8])
def test_converted_checkpoints_speak(bits, tmp_path):
    """Packed by `convert`, kernels and composition agree; Mimi, the tokenizer and the voices come along as they are."""
    model = tmp_path / "packed"
    done = run("convert", "--hf-path", BASE, "--mlx-path", model, "-q", "--q-bits", bits, "--q-group-size", 32)
    assert done.returncode == 0, done.stderr.decode()
    assert (model / "mimi" / CODEC).read_bytes() == (BASE / "mimi" / CODEC).read_bytes()
    names = set(load_file(model / "model.safetensors"))
    assert any(name.endswith("gate_proj.scales") or name.endswith("w1.scales") for name in names)
    sounds = []
    for kernels in ("", "mlx"):
        _, audio, _ = speak(tmp_path / f"{kernels}.wav", "--temperature", 0, "--max-tokens", 4, "--min-new-tokens", 4, "--voice",
                            "conversational_a", model=model, env={"MLX_AUDIO_KERNELS": kernels})
        sounds.append(audio)
    assert sounds[0].shape == sounds[1].shape and np.abs(sounds[0] - sounds[1]).max() <= 1e-4


def test_names_of_sizes_are_those_sizes(tmp_path):
    """The flavours' sizes, asked of weights that have others: the error names what was expected."""
    gone = ("hidden_size", "depth_decoder_config")
    for backbone, width in (("llama-1B", 2048), ("llama-8B", 4096), ("llama-300M", 1536), ("llama-100M", 1024)):
        model = changed(tmp_path / backbone, BASE, {"backbone_flavor": backbone}, remove=gone)
        fails(4, f", {width}]", "tts", "-m", model, "-o", tmp_path / "a.wav", "--voice", 0, "--", "Hello.")
    model = changed(tmp_path / "none", BASE, {"backbone_flavor": "llama-2T"}, remove=gone)
    fails(4, "llama-2T", "tts", "-m", model, "-o", tmp_path / "a.wav", "--voice", 0, "--", "Hello.")


def test_keys_of_other_models_of_the_kind(tmp_path):
    """A space behind the speaker and the tokenizer's own template, as Marvis and Miso have them, change what is said."""
    flags = ("--temperature", 0, "--max-tokens", 4, "--min-new-tokens", 4, "--voice", 0)
    _, plain, _ = speak(tmp_path / "a.wav", *flags)
    for name, config in (("space", {"speaker_prefix_space": True}), ("template", {"text_tokenizer": "some/where"})):
        _, other, _ = speak(tmp_path / "b.wav", *flags, model=changed(tmp_path / name, BASE, config))
        assert not np.array_equal(plain, other), name


def test_the_references_flags_work(tmp_path):
    link = tmp_path / "mlx_audio.tts.generate"
    link.symlink_to(PROGRAM)
    done = run("--model", BASE, "--text", "Hello.", "--ref_audio", REFERENCE, "--ref_text", "Words.", "--temperature", "0",
               "--max_tokens", "3", "--output_path", tmp_path, "--join_audio", program=link)
    assert done.returncode == 0, done.stderr.decode()
    assert b"has no effect" not in done.stderr
    assert (tmp_path / "audio.wav").exists()


BAD = [
    (["--voice", "nobody"], 2, "no voice 'nobody'"),
    (["--voice", "../inputs/ref"], 2, "no voice '../inputs/ref'"),
    (["--ref-audio", REFERENCE], 2, "has no text"),
    (["--ref-audio", REFERENCE, "--ref-text", "Hi.", "--voice", "conversational_a"], 2, "both given"),
    (["--ref-audio", REFERENCE, "--x-vector-only"], 5, "timbre"),
    (["--ref-text", "Hello."], 2, "without --ref-audio"),
    (["--ref-audio", "/nonexistent.wav", "--ref-text", "Hello."], 3, "/nonexistent.wav"),
    (["--language", "klingon"], 5, "languages"),
    (["--speed", "1.5"], 5, "rate of speech"),
    (["--speed", "5"], 2, "speed 5.0 is out of range"),
    (["--instruct", "sad"], 5, "no instructions"),
    (["--temperature", "-1"], 2, "temperature -1"),
    (["--top-p", "2"], 2, "top_p 2"),
    (["--max-tokens", "0"], 2, "max_tokens 0"),
    (["--max-tokens", "2040"], 10, "2040 frames do not fit"),
]


@pytest.mark.parametrize("flags, code, words", BAD)
def test_bad_requests(flags, code, words, tmp_path):
    fails(code, words, "tts", "-m", BASE, "-o", tmp_path / "out.wav", *flags, "--", "Hello.")
    assert not (tmp_path / "out.wav").exists()


@pytest.mark.parametrize("samples, code, words", [
    (noise(0.1), 2, "too short"),
    (noise(61), 10, "more than 60 s"),
    (np.zeros(16000), 2, "silent"),
])
def test_bad_recordings(samples, code, words, tmp_path):
    write_wav(tmp_path / "ref.wav", samples)
    fails(code, words, "tts", "-m", BASE, "-o", tmp_path / "out.wav", "--ref-audio", tmp_path / "ref.wav", "--ref-text", "Hello.",
          "--", "Hello.")


def test_a_recording_that_leaves_no_room_is_an_error(tmp_path):
    model = changed(tmp_path, BASE, {"max_position_embeddings": 128})
    write_wav(tmp_path / "ref.wav", noise(8))
    fails(10, "of the model's 128 positions", "tts", "-m", model, "-o", tmp_path / "out.wav", "--ref-audio", tmp_path / "ref.wav",
          "--ref-text", "Hello.", "--", "Hello.")


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(BASE, folder)
    return folder


def broken(code, words, model, tmp_path):
    fails(code, words, "tts", "-m", model, "-o", tmp_path / "out.wav", "--voice", "0", "--", "Hello.")


@pytest.mark.parametrize("file, words", [(f"mimi/{CODEC}", "no codec"), ("tokenizer.json", "no tokenizer"),
                                         ("model.safetensors", "no weights")])
def test_missing_files(file, words, model, tmp_path):
    (model / file).unlink()
    broken(3, words, model, tmp_path)


def test_the_codec_may_lie_beside_the_weights(model, tmp_path):
    flags = ("--temperature", 0, "--max-tokens", 3, "--voice", 0)
    _, inside, _ = speak(tmp_path / "a.wav", *flags, model=model)
    (model / "mimi" / CODEC).rename(model / CODEC)
    _, beside, _ = speak(tmp_path / "b.wav", *flags, model=model)
    assert np.array_equal(inside, beside)


@pytest.mark.parametrize("file, change, words", [
    ("model.safetensors", lambda w: w.pop("backbone.layers.0.sa_norm.scale"), "layers.0.input_layernorm.weight' is missing"),
    ("model.safetensors", lambda w: w.update({"decoder.layers.0.mlp.w2.weight": w["decoder.layers.0.mlp.w2.weight"][:-1]}), "has shape"),
    ("model.safetensors", lambda w: w.update({"audio_head": w["audio_head"][:-1]}), "'audio_head' has shape"),
    ("model.safetensors", lambda w: w.update(extra=np.zeros(3, np.float32)), "'extra'"),
    (f"mimi/{CODEC}", lambda w: w.pop("downsample.conv.conv.conv.weight"), "downsample.conv.weight' is missing"),
    (f"mimi/{CODEC}", lambda w: w.update(extra=np.zeros(3, np.float32)), "extra'"),
])
def test_broken_weights(file, change, words, model, tmp_path):
    weights = load_file(model / file)
    change(weights)
    save_file(weights, model / file, metadata={"format": "pt"})
    broken(4, words, model, tmp_path)


@pytest.mark.parametrize("changes, words", [
    ({"audio_num_codebooks": 1}, "audio_num_codebooks"),
    ({"audio_vocab_size": 2}, "audio_vocab_size"),
    ({"num_key_value_heads": 3}, "num_key_value_heads"),
    ({"head_dim": 15}, "head_dim"),
    ({"rope_scaling": {"rope_type": "yarn"}}, "rope_type"),
    ({"rope_scaling": {"low_freq_factor": 4, "high_freq_factor": 1}}, "high_freq_factor"),
    ({"mlp_bias": True}, "mlp_bias"),
    ({"hidden_size": 10**9}, "hidden_size"),
])
def test_broken_configs(changes, words, model, tmp_path):
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, **changes}))
    broken(4, words, model, tmp_path)


def test_the_server_clones_and_keeps_voices(tmp_path):
    with serving("--model", f"csm={BASE}") as server:
        client = server.client()

        def speak(voice="", **fields):
            fields = {"temperature": 0, "max_tokens": 3, "min_new_tokens": 3, **fields}
            return client.audio.speech.create(model="csm", input="Hello.", voice=voice, response_format="pcm",
                                              extra_body=fields).content

        recording = base64.b64encode(REFERENCE.read_bytes()).decode()
        given = speak(ref_audio=recording, ref_text="Words.")
        assert len(given) == 2 * 3 * FRAME
        voice = json.loads(subprocess.run(
            ["curl", "-sS", server.v1 + "/audio/voices", "-F", "name=mine", "-F", f"audio_sample=@{REFERENCE}", "-F",
             "ref_text=Words."], capture_output=True, check=True).stdout)
        assert speak(voice["id"]) == given
        assert speak("conversational_a") != given
        with pytest.raises(openai.BadRequestError, match="has no text"):
            speak(ref_audio=recording)
        with pytest.raises(openai.BadRequestError, match="no voice 'nobody'"):
            speak("nobody")


def test_the_pages_commands_run(tmp_path):
    page = (REPOSITORY / "docs" / "csm.md").read_text()
    shutil.copytree(BASE, tmp_path / "CSM")
    shutil.copy(REFERENCE, tmp_path / "me.wav")
    commands = [line for block in re.findall(r"```sh\n(.*?)```", page, re.S) for line in block.splitlines() if line]
    assert len(commands) >= 4
    for command in commands:
        words = shlex.split(command, comments=True)
        assert words[0] == "mlx-audio"
        if words[1] == "tts" and "--list-voices" not in words:
            words[words.index("--"):words.index("--")] = ["--max-tokens", "2"]
        done = subprocess.run([PROGRAM, *words[1:]], cwd=tmp_path, capture_output=True, check=False)
        assert done.returncode == 0, (command, done.stderr.decode())
