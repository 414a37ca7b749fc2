"""VibeVoice-ASR through the built binary, on tiny checkpoints with random weights.

MLX_AUDIO_VIBEVOICE_CASES names a folder of other cases of the parity program.
"""
import json
import os
import pathlib
import re
import shlex
import shutil
import wave

import mlx.core as mx
import numpy as np
import openai
import pytest
from safetensors.numpy import load_file, save_file

from program import PROGRAM, fails, run
from server_program import serving

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
ROOT = REPOSITORY / "tests" / "data" / "vibevoice_asr"
CASES = pathlib.Path(os.environ.get("MLX_AUDIO_VIBEVOICE_CASES", ROOT))
HF, Q4, STREAMING = (ROOT / name / "checkpoint" for name in ("hf", "q4", "streaming"))
SOUND = ROOT / "hf" / "inputs" / "a_24k.wav"
STREAM_SOUND = ROOT / "streaming" / "inputs" / "stream_24k.wav"


def cases():
    for path in sorted(CASES.glob("*/case.json")):
        case = json.loads(path.read_text(encoding="utf-8"))
        for item in case["runs"] if path.parent.name not in ("parser",) else []:
            # Noise, other samples and an unfilled last chunk are in tests/parity only.
            if item["expect"] == "ok" and "noise" not in item and "resample" not in item and \
                    item["parameters"].get("pad_last_chunk", True):
                yield path.parent.name, item


def arguments(case, item):
    p = item["parameters"]
    flags = ["stt", CASES / case / item["input"], "-m", CASES / case / "checkpoint", "-f", "json", "-q",
             "--repetition-penalty", p["repetition_penalty"], "--repetition-context", p["repetition_context_size"],
             "--max-tokens", p.get("max_tokens_per_chunk") or p["max_tokens"]]
    for key, flag in (("context", "--context"), ("streaming_chunk_duration", "--chunk-duration"),
                      ("text_audio_delay", "--text-audio-delay")):
        if p.get(key) is not None:
            flags += [flag, p[key]]
    if p["hotwords"]:
        flags += ["--hotwords", ",".join(p["hotwords"])]
    return flags


@pytest.mark.parametrize("case, item", [pytest.param(c, i, id=f"{c}-{i['name']}") for c, i in cases()])
def test_transcripts_are_the_references(case, item):
    done = run(*arguments(case, item))
    assert done.returncode == 0, done.stderr.decode()
    got, want = json.loads(done.stdout), item["golden"]
    if case == "streaming":
        assert got["text"].strip() == want["text"]
        assert [(s["text"], s["start"], s["end"]) for s in got["segments"]] == \
            [(s["text"], round(s["start"], 3), round(s["end"], 3)) for s in want["segments"]]
        return
    if want["segments"]:
        assert [(s["text"].strip(), s["start"], s["end"], s["speaker"]) for s in got["segments"]] == \
            [(s["text"], s["start"], s["end"], str(s["speaker_id"])) for s in want["segments"]]
    elif want["text"]:
        assert got["text"].strip() == want["text"]  # no list that could be read: as the model wrote it
    assert (got.get("finish_reason") == "length") == (want["finish_reason"] == "length")


def transcribe(*flags, model=HF, sound=SOUND, env=None):
    done = run("stt", sound, "-m", model, "-q", *flags, env=env)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode(), done.stderr.decode()


def test_every_format_names_speakers(tmp_path):
    text, _ = transcribe()
    assert text == "Speaker 0: Hello there.\nSpeaker 1: It rains [Music] again.\n"
    srt, _ = transcribe("-f", "srt")
    assert srt.startswith("1\n00:00:00,000 --> 00:00:00,410\nSpeaker 0: Hello there.\n\n2\n")
    vtt, _ = transcribe("-f", "vtt")
    assert vtt == ("WEBVTT\n\n00:00.000 --> 00:00.410\n<v Speaker 0>Hello there.\n\n"
                   "00:00.410 --> 00:00.820\n<v Speaker 1>It rains [Music] again.\n\n")
    tsv, _ = transcribe("-f", "tsv")
    assert tsv.splitlines()[1] == "0\t410\tSpeaker 0: Hello there."
    done = run("stt", SOUND, "-m", HF, "-q", "-f", "all", "-o", tmp_path)
    assert done.returncode == 0 and len(list(tmp_path.iterdir())) == 5


def test_what_is_cut_keeps_complete_segments_and_says_so():
    out, error = transcribe("-f", "json", "--max-tokens", 40)
    got = json.loads(out)
    assert [s["text"] for s in got["segments"]] == [" Hello there."]
    assert got["finish_reason"] == "length"
    assert "cut after 40 tokens, at about 0.4 s" in error
    assert "finish_reason" not in json.loads(transcribe("-f", "json")[0])


def test_seeds_decide():
    flags = ("-f", "json", "--temperature", 2, "--max-tokens", 30)
    a, b, c = (transcribe(*flags, "--seed", seed)[0] for seed in (1, 1, 2))
    assert a == b != c
    greedy = json.loads(transcribe("-f", "json", "--max-tokens", 30)[0])["text"]
    for change in (("--top-k", 1), ("--top-p", 0.01), ("--min-p", 1)):
        assert json.loads(transcribe(*flags, *change)[0])["text"] == greedy, change


def test_a_language_is_found_by_the_model():
    assert "'fr' has no effect" in transcribe("--language", "fr")[1]


@pytest.mark.parametrize("model, sound", [(Q4, SOUND), (HF, SOUND), (STREAMING, STREAM_SOUND)])
def test_kernels_write_what_the_composition_writes(model, sound):
    flags = ("-f", "json", "--max-tokens", 60)
    ours, mlx = (json.loads(transcribe(*flags, model=model, sound=sound, env={"MLX_AUDIO_KERNELS": kernels})[0])
                 for kernels in ("", "mlx"))
    assert [s["tokens"] for s in ours["segments"]] == [s["tokens"] for s in mlx["segments"]]


def write_wav(path, samples, rate=24000):
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())


def changed(tmp_path, base, config=lambda c: None, weights=None, name="changed"):
    """A checkpoint with other settings."""
    model = tmp_path / name
    shutil.copytree(base, model)
    settings = json.loads((model / "config.json").read_text())
    config(settings)
    (model / "config.json").write_text(json.dumps(settings))
    if weights:
        tensors = load_file(model / "model.safetensors")
        weights(tensors)
        save_file(tensors, model / "model.safetensors", metadata={"format": "mlx"})
    return model


def context_of(positions):
    return lambda config: config["decoder_config"].update(max_position_embeddings=positions)


def test_what_is_longer_than_fits_is_heard_in_parts(tmp_path):
    """Three quarters of 512 positions are 51.2 s; the pauses at 40 and 85 s are where it is cut."""
    seconds, rate = 110, 8000
    samples = 0.3 * np.sin(np.arange(seconds * rate) * 0.3)
    for at in (40, 85):
        samples[at * rate:(at + 1) * rate] = 0
    write_wav(tmp_path / "long.wav", samples, rate)
    model = changed(tmp_path, HF, context_of(512))
    out, error = transcribe("-f", "json", "--max-tokens", 3, model=model, sound=tmp_path / "long.wav")
    got = json.loads(out)
    starts = [s["start"] for s in got["segments"]]
    assert len(starts) == 3 and starts[0] == 0 and 40 <= starts[1] <= 41 and 85 <= starts[2] <= 86
    assert abs(got["segments"][-1]["end"] - seconds) < 0.01
    assert "heard in parts" in error and got["finish_reason"] == "length"


def test_a_full_context_ends_a_stream_and_says_so(tmp_path):
    model = changed(tmp_path, STREAMING, context_of(120))
    out, error = transcribe("-f", "json", "--max-tokens", 4, model=model, sound=STREAM_SOUND)
    assert json.loads(out)["finish_reason"] == "length"
    assert "context of 120 positions is full" in error or "cut after 4 tokens" in error
    model = changed(tmp_path, STREAMING, context_of(70), name="smaller")
    out, error = transcribe("-f", "json", model=model, sound=STREAM_SOUND)
    assert json.loads(out)["segments"] == []
    assert "context of 70 positions is full after 0 s" in error


def test_a_pipe_is_heard():
    done = run("stt", "-", "-m", HF, "-q", stdin=SOUND.read_bytes())
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode() == transcribe()[0]


def test_tokenizers_of_older_files_are_read(tmp_path):
    model = changed(tmp_path, HF)
    (model / "tokenizer.json").unlink()
    assert transcribe(model=model)[0] == transcribe()[0]


BAD = [
    (HF, ["--max-tokens", -1], 2, "max_tokens -1"),
    (HF, ["--temperature", "-0.5"], 2, "temperature -0.5"),
    (HF, ["--temperature", "0.7", "--top-p", "1.5"], 2, "top_p 1.5"),
    (HF, ["--min-p", "2"], 2, "min_p 2"),
    (HF, ["--repetition-penalty", "0"], 2, "repetition_penalty 0"),
    (HF, ["--repetition-context", "0"], 2, "repetition_context 0"),
    (HF, ["--task", "translate"], 5, "no translation"),
    (HF, ["-w"], 5, "no times of words"),
    (HF, ["--vad"], 5, "voice detection"),
    (HF, ["--beam-size", "3"], 5, "beam search"),
    (HF, ["--stream"], 5, "cannot listen live"),
    (HF, ["--chunk-duration", "1"], 5, "no chunks"),
    (STREAMING, ["--chunk-duration", "0"], 2, "chunk_duration 0"),
    (STREAMING, ["--text-audio-delay", "-1"], 2, "text_audio_delay -1"),
    (HF, ["--decoder-bits", "4"], 5, "decoder_bits 4"),
    (HF, ["--context", "x" * 70000], 10, "context of 70000 bytes"),
]


@pytest.mark.parametrize("model, flags, code, words", BAD)
def test_bad_requests(model, flags, code, words):
    fails(code, words, "stt", SOUND, "-m", model, "-q", *flags)


def test_bad_recordings(tmp_path):
    write_wav(tmp_path / "empty.wav", np.zeros(0))
    (tmp_path / "text.wav").write_bytes(b"this is not a wav file\n" * 4)
    (tmp_path / "cut.wav").write_bytes(SOUND.read_bytes()[:30])
    for name, codes in (("empty", (2, 4)), ("text", (4, 5)), ("cut", (2, 4, 5)), ("missing", (3,))):
        done = run("stt", tmp_path / f"{name}.wav", "-m", HF, "-q")
        assert done.returncode in codes, (name, done.stderr.decode())
        assert len(done.stderr.decode().splitlines()) <= 2


@pytest.mark.parametrize("change, words", [
    (lambda w: w.pop("language_model.model.layers.0.self_attn.q_proj.scales"), "q_proj"),
    (lambda w: w.pop("language_model.model.layers.0.self_attn.q_proj.bias"), "q_proj.bias' is missing"),
    (lambda w: w.pop("acoustic_tokenizer.encoder.stages.0.0.ffn.linear1.bias"), "linear1.bias' is missing"),
    (lambda w: w.pop("semantic_tokenizer.encoder.head.conv.weight"), "head.conv.weight' is missing"),
    (lambda w: w.update({"language_model.model.norm.weight": w["language_model.model.norm.weight"][:-1]}), "has shape"),
    (lambda w: w.update({"acoustic_tokenizer.encoder.downsample_layers.1.conv.weight": np.ascontiguousarray(
        w["acoustic_tokenizer.encoder.downsample_layers.1.conv.weight"].transpose(0, 2, 1))}), "has shape"),
    (lambda w: w.update(extra=np.zeros(3, np.float32)), "'extra'"),
])
def test_broken_weights(change, words, tmp_path):
    model = changed(tmp_path, Q4, weights=change)
    fails(4, words, "stt", SOUND, "-m", model, "-q")


@pytest.mark.parametrize("change, words", [
    (lambda c: c["decoder_config"].pop("hidden_size"), "hidden_size"),
    (lambda c: c["decoder_config"].update(rope_scaling={"type": "yarn", "factor": 4}), "rope_scaling"),
    (lambda c: c["decoder_config"].update(num_key_value_heads=3), "num_key_value_heads"),
    (lambda c: c["acoustic_tokenizer_config"].update(encoder_depths="1-x"), "encoder_depths"),
    (lambda c: c["acoustic_tokenizer_config"].update(encoder_ratios=[64] * 9), "encoder_ratios"),
    (lambda c: c["semantic_tokenizer_config"].update(causal=False), "causal"),
    (lambda c: c.update(acoustic_vae_dim=9), "acoustic_vae_dim"),
])
def test_broken_configs(change, words, tmp_path):
    fails(4, words, "stt", SOUND, "-m", changed(tmp_path, Q4, change), "-q")


def test_missing_files_are_named(tmp_path):
    model = changed(tmp_path, Q4)
    (model / "tokenizer.json").unlink()
    (model / "tokenizer_config.json").unlink()
    done = fails(3, "no tokenizer", "stt", SOUND, "-m", model, "-q")
    assert b"tokenizer.json" in done.stderr and b"Qwen2.5-7B" in done.stderr
    (model / "config.json").unlink()
    assert run("stt", SOUND, "-m", model, "-q").returncode == 3
    model = changed(tmp_path, STREAMING, name="stream")
    text = (model / "tokenizer.json").read_text().replace("<|text_chunk_end|>", "<|other|>")
    (model / "tokenizer.json").write_text(text)
    fails(4, "no token '<|text_chunk_end|>'", "stt", STREAM_SOUND, "-m", model, "-q")


def tensors(folder):
    return {name: t for path in sorted(folder.glob("*.safetensors")) for name, t in mx.load(str(path)).items()}


def test_convert_makes_the_references_checkpoint(tmp_path):
    done = run("convert", "--hf-path", HF, "--mlx-path", tmp_path / "q4", "-q", "--q-bits", 4)
    assert done.returncode == 0, done.stderr.decode()
    got, want = tensors(tmp_path / "q4"), tensors(Q4)
    assert got.keys() == want.keys()
    assert all(got[name].shape == want[name].shape and mx.array_equal(got[name], want[name]) for name in want)
    assert transcribe("-f", "json", model=tmp_path / "q4") == transcribe("-f", "json", model=Q4)
    plain = tmp_path / "plain"
    assert run("convert", "--hf-path", HF, "--mlx-path", plain).returncode == 0
    assert transcribe(model=plain) == transcribe()


@pytest.mark.parametrize("bits", [3, 6, 8])
def test_every_bit_width_is_read(bits, tmp_path):
    model = tmp_path / "model"
    assert run("convert", "--hf-path", HF, "--mlx-path", model, "-q", "--q-bits", bits).returncode == 0
    assert not any(name.endswith(".scales") and not name.startswith("language_model") for name in tensors(model))
    ours, mlx = (json.loads(transcribe("-f", "json", "--max-tokens", 30, model=model, env={"MLX_AUDIO_KERNELS": kernels})[0])
                 for kernels in ("", "mlx"))
    assert ours["segments"] and [s["tokens"] for s in ours["segments"]] == [s["tokens"] for s in mlx["segments"]]


def test_the_references_flags_work(tmp_path):
    link = tmp_path / "mlx_audio.stt.generate"
    link.symlink_to(PROGRAM)
    done = run("--model", HF, "--audio", SOUND, "--output_path", tmp_path / "out", "--format", "json", "--max-tokens", "300",
               program=link)
    assert done.returncode == 0, done.stderr.decode()
    assert [s["speaker"] for s in json.loads((tmp_path / "out.json").read_text())["segments"]] == ["0", "1"]


def test_the_server_transcribes_with_speakers():
    with serving("--model", f"vibe={HF}", "--model", f"stream={STREAMING}") as server:
        client = server.client()

        def ask(model="vibe", **fields):
            return client.audio.transcriptions.create(model=model, file=SOUND, **fields)

        assert ask().text == "Hello there. It rains [Music] again."
        said = ask(response_format="diarized_json")
        assert [(s.id, s.speaker, s.text, s.start, s.end) for s in said.segments] == [
            ("seg_001", "A", "Hello there.", 0, 0.41), ("seg_002", "B", "It rains [Music] again.", 0.41, 0.82)]
        assert said.task == "transcribe" and said.text == ask().text and said.segments[0].type == "transcript.text.segment"
        verbose = ask(response_format="verbose_json")
        assert [s.speaker for s in verbose.segments] == ["0", "1"]
        assert "<v Speaker 0>Hello there." in ask(response_format="vtt")
        events = list(ask(response_format="diarized_json", stream=True))
        kinds = [e.type for e in events]
        assert kinds == ["transcript.text.delta", "transcript.text.segment"] * 2 + ["transcript.text.done"]
        assert events[1].speaker == "A" and events[0].segment_id == events[1].id
        assert events[-1].text == said.text and events[-1].usage.output_tokens > 20
        assert events[-1].usage.input_token_details.audio_tokens == 7
        ask(extra_body={"keywords": ["fox", "dog"]}, prompt="About the weather.")
        for model, fields in (("stream", {"response_format": "diarized_json"}), ("vibe", {"include": ["logprobs"]}),
                              ("vibe", {"extra_body": {"known_speaker_names": ["Ada"]}})):
            with pytest.raises(openai.APIStatusError) as caught:
                ask(model, **fields)
            assert caught.value.status_code in (400, 415)
        text = client.audio.transcriptions.create(model="stream", file=STREAM_SOUND).text
        assert text == "Speaker 0: Good morning. Speaker 0: Yes. Speaker 1: The results are in."


def test_the_pages_commands_run(tmp_path):
    """Every command of the page, with the tiny checkpoints for the real ones."""
    page = (REPOSITORY / "docs" / "vibevoice-asr.md").read_text(encoding="utf-8")
    shutil.copy(SOUND, tmp_path / "meeting.wav")
    shutil.copytree(HF, tmp_path / "VibeVoice-ASR")
    shutil.copytree(STREAMING, tmp_path / "VibeVoice-ASR-Streaming")
    commands = [line for block in re.findall(r"```sh\n(.*?)```", page, re.S) for line in block.splitlines()
                if line.startswith("mlx-audio ")]
    assert len(commands) >= 4
    for command in commands:
        words = shlex.split(command, comments=True)[1:]
        # Names of files and folders are the page's own.
        words = [str(tmp_path / w) if w.split("/")[0] in ("meeting.wav", "VibeVoice-ASR", "VibeVoice-ASR-Streaming", "vibe-4bit",
                                                          "meeting.vtt", "meeting.json") else w for w in words]
        done = run(*words)
        assert done.returncode == 0, (command, done.stderr.decode())
