"""`mlx-audio enhance` as a user runs it, on tiny random weights."""

import collections
import io
import json
import os
import pickle
import signal
import subprocess
import sys
import time
import types
import wave
import zipfile
from pathlib import Path

import numpy as np
import pytest

from program import PROGRAM, ROOT, devices

sys.path.insert(0, str(ROOT / "bench"))
import mossformer2  # noqa: E402


def run(*arguments, stdin=None, code=0):
    done = subprocess.run(
        [PROGRAM, "enhance", *map(str, arguments)], input=stdin, capture_output=True
    )
    assert done.returncode == code, done.stderr.decode()
    return done


def tiny(seed=0):
    return mossformer2.make_tensors(dim=32, blocks=2, seed=seed)


def wide():
    """Wide enough for quantization in groups of 64."""
    return mossformer2.to_mlx(mossformer2.make_tensors(dim=64, blocks=1))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    # Files of more than a second are long: tests stay short.
    mossformer2.save(folder, tiny(), one_time_decode_length=1, decode_window=1)
    return folder


def write(path, x, rate=48000, width=2):
    x = np.asarray(x)
    x = x[:, None] if x.ndim == 1 else x
    with wave.open(str(path), "wb") as w:
        w.setnchannels(x.shape[1])
        w.setsampwidth(width)
        w.setframerate(rate)
        grid = np.round(np.clip(x, -1, 1) * (2 ** (8 * width - 1) - 1)).astype("<i4")
        data = grid.reshape(-1, 1).view(np.uint8)[:, :width]
        w.writeframes(np.ascontiguousarray(data).tobytes())
    return path


def write_float(path, x, rate=48000):
    data = np.asarray(x, "<f4").tobytes()
    head = b"fmt " + (16).to_bytes(4, "little") + (3).to_bytes(2, "little")
    head += (1).to_bytes(2, "little") + rate.to_bytes(4, "little")
    head += (4 * rate).to_bytes(4, "little") + b"\x04\x00\x20\x00"
    body = b"WAVE" + head + b"data" + len(data).to_bytes(4, "little") + data
    path.write_bytes(b"RIFF" + len(body).to_bytes(4, "little") + body)
    return path


def header(path):
    """Format tag, channels, rate, bits, frames of a wav file."""
    data = Path(path).read_bytes()
    at = data.index(b"fmt ") + 8
    tag, channels, bits = (
        int.from_bytes(data[at + i : at + i + 2], "little") for i in (0, 2, 14)
    )
    if tag == 0xFFFE:
        tag = int.from_bytes(data[at + 24 : at + 26], "little")
    rate = int.from_bytes(data[at + 4 : at + 8], "little")
    at = data.index(b"data", at)
    size = int.from_bytes(data[at + 4 : at + 8], "little")
    return tag, channels, rate, bits, size // (channels * bits // 8)


def floats(path):
    return mossformer2.read_f32_wav(path)


def speech(seconds=0.5, seed=1):
    return mossformer2.speech_like(seconds, seed)


def test_sample_formats_stay_as_they_are(model, tmp_path):
    out = tmp_path / "out.wav"
    run(write(tmp_path / "a.wav", speech()), "--model", model, "--output", out)
    assert header(out) == (1, 1, 48000, 16, 24000)
    run(write(tmp_path / "b.wav", speech(), width=3), "--model", model, "-o", out)
    assert header(out) == (1, 1, 48000, 24, 24000)
    run(write_float(tmp_path / "c.wav", speech()), "--model", model, "-o", out)
    assert header(out) == (3, 1, 48000, 32, 24000)
    run(tmp_path / "c.wav", "--model", model, "-o", out, "--sample-format", "s24")
    assert header(out)[:4] == (1, 1, 48000, 24)


def test_float_samples_above_one_are_kept(model, tmp_path):
    loud = write_float(tmp_path / "loud.wav", 4 * speech())
    run(loud, "--model", model, "-o", tmp_path / "out.wav", "--mix", "1")
    assert np.abs(floats(tmp_path / "out.wav") - floats(loud)).max() < 1e-5


def test_stereo_channels_stay_apart(model, tmp_path):
    left, right = speech(0.4, 1), speech(0.4, 2)
    run(
        write(tmp_path / "both.wav", np.stack([left, right], 1)),
        write(tmp_path / "left.wav", left),
        *("--model", model, "-o", tmp_path / "out", "--sample-format", "f32"),
    )
    both = floats(tmp_path / "out" / "both_enhanced.wav").reshape(-1, 2)
    mono = floats(tmp_path / "out" / "left_enhanced.wav")
    assert (both[:, 0] == mono).all()
    assert np.abs(both[:, 1] - mono).max() > 0.01


def test_eight_channels_at_8_khz(model, tmp_path):
    x = np.stack([speech(0.3, i)[::6] for i in range(8)], 1)
    file = write(tmp_path / "in.wav", x, rate=8000)
    out = tmp_path / "out.wav"
    for flags, rate in (
        ([], 48000),
        (["--keep-rate"], 8000),
        (["--sample-rate", 16000], 16000),
    ):
        run(file, "--model", model, "-o", out, *flags)
        assert header(out)[1:] == (8, rate, 16, len(x) * rate // 8000)


def test_shorter_than_a_frame(model, tmp_path):
    for samples in (1, 480, 1919):
        file = write(tmp_path / "in.wav", speech()[:samples])
        run(file, "--model", model, "-o", tmp_path / "out.wav")
        assert header(tmp_path / "out.wav")[4] == samples


def test_whole_folders_and_other_formats(model, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in "abc":
        write(folder / f"{name}.wav", speech(0.2))
    run(folder, "--model", model, "--output-path", tmp_path / "out", "--format", "flac")
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == ["a_enhanced.flac", "b_enhanced.flac", "c_enhanced.flac"]


def test_flags_of_mlx_audio(model, tmp_path):
    program = tmp_path / "mlx_audio.sts.generate"
    program.symlink_to(PROGRAM)
    file = write(tmp_path / "in.wav", speech(2.2))

    def generate(*flags):
        command = [program, "--audio", file, "--model", model, *flags]
        return subprocess.run(list(map(str, command)), capture_output=True)

    done = generate("--output-path", tmp_path, "--verbose", "--top-k", 5)
    assert done.returncode == 0 and b"--top-k has no effect" in done.stderr
    assert header(tmp_path / "in_enhanced.wav")[4] == int(2.2 * 48000)
    kwargs = ("--gen-kwargs", '{"chunked": true}')
    assert generate(*kwargs, "--output-path", tmp_path / "a.wav").returncode == 0
    run(file, "--model", model, "--segments", "chunked", "-o", tmp_path / "b.wav")
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    done = generate("--gen-kwargs", '{"volume": 2}')
    assert done.returncode == 2 and b"volume" in done.stderr


def test_pipe_gives_first_samples_before_the_end(model):
    """A live stream answers within its latency while the input is still open."""
    process = subprocess.Popen(
        [PROGRAM, "enhance", "-", "--model", model, "-o", "-", "--stream"]
        + ["--raw", "48000:1:f32", "--format", "pcm", "--sample-format", "f32"]
        + ["--hop-seconds", "0.2", "--lookahead-seconds", "0.1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    )
    x = speech(2).astype("<f4").tobytes()
    # The latency is 0.2 + 0.1 + 0.03 s, so that 0.4 s give at least 0.06.
    cut, least = int(0.4 * 48000) * 4, int(0.06 * 48000) * 4
    process.stdin.write(x[:cut])
    first = b""
    while len(first) < least:
        block = process.stdout.read(least - len(first))
        assert block
        first += block
    rest, _ = process.communicate(x[cut:])
    assert process.returncode == 0
    assert len(first) + len(rest) == len(x)
    assert np.isfinite(np.frombuffer(first + rest, "<f4")).all()


def test_wav_pipe_to_wav_pipe(model, tmp_path):
    file = write(tmp_path / "in.wav", speech(0.3))
    run(file, "--model", model, "-o", tmp_path / "out.wav")
    done = run("-", "--model", model, "-o", "-", stdin=file.read_bytes())
    want = (tmp_path / "out.wav").read_bytes().split(b"data", 1)[1][4:]
    assert done.stdout.split(b"data", 1)[1][4:] == want


@pytest.mark.parametrize(
    "name,codes,part",
    [
        ("empty", [4], "no audio samples"),
        ("nan", [4], "1234"),
        ("missing", [3], "missing.wav"),
        ("text", [4, 5], "text.wav"),
    ],
)
def test_bad_audio_is_named_and_leaves_no_file(model, tmp_path, name, codes, part):
    file = tmp_path / f"{name}.wav"
    if name == "empty":
        write(file, np.zeros((0, 1)))
    elif name == "nan":
        x = speech()
        x[1234] = np.nan
        write_float(file, x)
    elif name == "text":
        file.write_text("no audio " * 99)
    out = tmp_path / "out.wav"
    done = subprocess.run(
        [PROGRAM, "enhance", file, "--model", model, "-o", out], capture_output=True
    )
    assert done.returncode in codes, done.stderr
    assert part in done.stderr.decode()
    assert not out.exists()


def test_one_bad_file_of_a_folder_does_not_stop_the_others(model, tmp_path):
    write(tmp_path / "good.wav", speech(0.2))
    (tmp_path / "bad.wav").write_bytes(b"RIFF")
    done = subprocess.run(
        [PROGRAM, "enhance", tmp_path, "--model", model, "-o", tmp_path / "out"],
        capture_output=True,
    )
    assert done.returncode != 0 and b"bad.wav" in done.stderr
    assert (tmp_path / "out" / "good_enhanced.wav").exists()


@pytest.mark.parametrize("case", ["missing", "extra", "bits", "config", "other"])
def test_bad_checkpoints_name_the_cause(tmp_path, case):
    tensors, config, part = mossformer2.to_mlx(tiny()), {}, ""
    if case == "missing":
        part = "to_out.linear.weight"
        del tensors[f"model.mossformer.mdl.intra_mdl.mossformerM.layers.0.{part}"]
    elif case == "extra":
        part = "surplus"
        tensors["model.mossformer.surplus"] = np.zeros(3, np.float32)
    elif case == "bits":
        part = "not quantized to 4 bits"
        tensors = mossformer2.quantize(wide(), 8)
        config = {"quantization": {"group_size": 64, "bits": 4}}
    elif case == "config":
        part = "num_blocks"
        config = {"num_blocks": 7}
    else:
        part = "model_type"
        config = {"model_type": "kokoro"}
    mossformer2.save(tmp_path / "model", tensors, **{"one_time_decode_length": 9, **config})
    file = write(tmp_path / "in.wav", speech(0.1))
    out = tmp_path / "out.wav"
    done = run(file, "--model", tmp_path / "model", "-o", out, code=4)
    assert part in done.stderr.decode()
    assert not out.exists()


def test_quantized_checkpoints_are_near(tmp_path):
    file = write(tmp_path / "in.wav", speech())
    audio = {}
    for bits in (0, 8, 6, 4):
        folder, out = tmp_path / str(bits), tmp_path / f"{bits}.wav"
        if bits:
            config = {"quantization_config": {"group_size": 64, "bits": bits}}
            mossformer2.save(folder, mossformer2.quantize(wide(), bits), **config)
        else:
            mossformer2.save(folder, wide())
        run(file, "--model", folder, "-o", out, "--sample-format", "f32")
        audio[bits] = floats(out)
    errors = [np.abs(audio[bits] - audio[0]).max() for bits in (8, 6, 4)]
    assert 0 < errors[0] < errors[1] < errors[2] < 0.5
    assert errors[0] < 0.02


def torch_file(state):
    """The bytes that torch.save writes for {"model": arrays}, without torch."""

    class Tensor:
        def __init__(self, key, array):
            self.key, self.array = key, array

    class Storage(Tensor):
        pass

    def _rebuild_tensor_v2(*args):
        raise AssertionError

    class FloatStorage:
        pass

    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    FloatStorage.__module__, FloatStorage.__qualname__ = "torch", "FloatStorage"
    utils._rebuild_tensor_v2, torch.FloatStorage = _rebuild_tensor_v2, FloatStorage

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            if isinstance(value, Storage):
                return ("storage", FloatStorage, value.key, "cpu", value.array.size)
            return None

        def reducer_override(self, value):
            if type(value) is not Tensor:
                return NotImplemented
            shape = value.array.shape
            strides = tuple(int(np.prod(shape[i + 1 :])) for i in range(len(shape)))
            storage, hooks = Storage(value.key, value.array), collections.OrderedDict()
            return _rebuild_tensor_v2, (storage, 0, shape, strides, False, hooks)

    tensors = {
        name: Tensor(str(i), array) for i, (name, array) in enumerate(state.items())
    }
    saved = {name: sys.modules.get(name) for name in ("torch", "torch._utils")}
    sys.modules["torch"], sys.modules["torch._utils"] = torch, utils
    try:
        structure = io.BytesIO()
        Pickler(structure, protocol=2).dump({"model": tensors, "epoch": 3})
    finally:
        for name, module in saved.items():
            del sys.modules[name]
            if module is not None:
                sys.modules[name] = module
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as z:
        z.writestr("archive/data.pkl", structure.getvalue())
        for tensor in tensors.values():
            z.writestr(f"archive/data/{tensor.key}", tensor.array.tobytes())
        z.writestr("archive/version", "3\n")
    return out.getvalue()


def test_original_checkpoint_through_convert(tmp_path):
    """ClearerVoice's folder gives what its tensors give without converting."""
    folder = tmp_path / "original"
    folder.mkdir()
    (folder / "last_best_checkpoint.pt").write_bytes(torch_file(tiny()))
    (folder / "last_best_checkpoint").write_text("last_best_checkpoint.pt\n")
    done = subprocess.run(
        [PROGRAM, "convert", "--hf-path", folder, "--mlx-path", tmp_path / "mlx"],
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    config = json.loads((tmp_path / "mlx" / "config.json").read_text())
    assert config["model_type"] == "mossformer2_se"
    assert (config["num_blocks"], config["out_channels"]) == (2, 32)
    mossformer2.save(tmp_path / "direct", tiny())
    file = write(tmp_path / "in.wav", speech())
    for name in ("mlx", "direct"):
        run(file, "--model", tmp_path / name, "-o", tmp_path / f"{name}.wav")
    assert (tmp_path / "mlx.wav").read_bytes() == (tmp_path / "direct.wav").read_bytes()


@pytest.fixture(scope="module")
def unit_model(tmp_path_factory):
    """Weights whose mask is 1 for every sound: the output is the input."""
    tensors = tiny()
    gate = np.tanh(1) / 2  # of output and output_gate
    for name in ("output", "output_gate"):
        tensors[f"mossformer.{name}.0.weight"][:] = 0
        tensors[f"mossformer.{name}.0.bias"][:] = name == "output"
    tensors["mossformer.conv1_decoder.weight"][:] = 1 / (32 * gate)
    folder = tmp_path_factory.mktemp("unit")
    mossformer2.save(folder, tensors, one_time_decode_length=4, decode_window=2)
    return folder


def test_a_mask_of_one_gives_the_input_back(unit_model, tmp_path):
    """No gain, no delay, no lost end, no seam: windows, live and other rates."""
    x = speech(5.3)
    file = write_float(tmp_path / "in.wav", x)
    for flags in ([], ["--stream"], ["--segments", "whole"]):
        out = tmp_path / "out.wav"
        run(file, "--model", unit_model, "-o", out, *flags)
        assert len(floats(out)) == len(x)
        assert np.abs(floats(out) - x).max() < 1e-4, flags
    slow = write_float(tmp_path / "slow.wav", x[::3], rate=16000)
    run(slow, "--model", unit_model, "-o", tmp_path / "out.wav", "--keep-rate")
    y = floats(tmp_path / "out.wav")
    assert len(y) == len(x[::3])
    # The resampler's filter takes the band's edge and what the clip's ends ring.
    spectra = [np.abs(np.fft.rfft(v))[: len(y) * 7 // 16] for v in (y, x[::3])]
    assert np.linalg.norm(spectra[0] - spectra[1]) < 0.01 * np.linalg.norm(spectra[1])


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_microphone_to_loudspeaker_and_file_until_ctrl_c(unit_model, tmp_path, stop):
    spoken, played, out = (tmp_path / n for n in ("spoken", "played", "out.wav"))
    x = speech(3).astype("<f4")
    x.tofile(spoken)
    process = subprocess.Popen(
        [PROGRAM, "enhance", "--microphone", "--play", "-m", unit_model, "-o", out]
        + ["--sample-format", "f32", "--hop-seconds", "0.2"],
        env=devices(input=spoken, output=played),
        stderr=subprocess.PIPE,
    )
    end = time.time() + 60
    while not played.exists() or played.stat().st_size < 48000 * 4:
        assert process.poll() is None and time.time() < end, process.stderr.read()
        time.sleep(0.02)
    assert not out.exists(), "under its name only when it is whole"
    process.send_signal(stop)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0 and errors == b"", errors
    y, heard = floats(out), np.fromfile(played, "<f4")
    assert header(out) == (3, 1, 48000, 32, len(y))
    assert len(y) >= 48000 and len(y) % 2400 == 0, "whole blocks of the microphone"
    x = np.concatenate([x, np.zeros(max(0, len(y) - len(x)), np.float32)])
    assert np.abs(y - x[: len(y)]).max() < 1e-4
    lead = len(heard) - len(y)
    assert lead == 9600 and not heard[:lead].any()
    assert (heard[lead:] == y).all()


def test_lost_sound_is_said(unit_model, tmp_path):
    speech(1).astype("<f4").tofile(tmp_path / "spoken")
    process = subprocess.Popen(
        [PROGRAM, "enhance", "--microphone", "--play", "-m", unit_model],
        env=devices(input=tmp_path / "spoken", output=tmp_path / "played", loses=1),
        stderr=subprocess.PIPE,
    )
    while not (tmp_path / "played").exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert errors.decode().splitlines() == [
        "mlx-audio: microphone: some sound was lost: the model is too slow"
    ]


def test_play_alone_writes_no_file(unit_model, tmp_path):
    file = write_float(tmp_path / "in.wav", speech())
    done = subprocess.run(
        [PROGRAM, "enhance", file, "--play", "-m", unit_model],
        env=devices(output=tmp_path / "played"),
        cwd=tmp_path,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert np.abs(np.fromfile(tmp_path / "played", "<f4") - floats(file)).max() < 1e-4
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.wav", "played"]


@pytest.mark.parametrize(
    "flags,with_devices,code,part",
    [
        (["--microphone"], {}, 7, "no recording device"),
        (["--microphone", "--device", 3], {"input": "in"}, 7, "no sound device 3"),
        (["--microphone", "--play"], {"input": "in"}, 7, "no playback device"),
        (["in.wav", "--play"], {}, 7, "no playback device"),
        (["--microphone"], None, 7, "PortAudio, which is not installed"),
        (["--microphone", "in.wav"], {}, 2, "--microphone"),
        (["in.wav", "--device", 1], {}, 2, "--device"),
        ([], {}, 2, "nothing to enhance"),
    ],
)
def test_devices_that_are_not_there(model, tmp_path, flags, with_devices, code, part):
    if with_devices is None:
        (tmp_path / "libportaudio.so.2").touch()
        env = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path)}
    else:
        env = devices(**{n: tmp_path / f for n, f in with_devices.items()})
    write(tmp_path / "in.wav", speech(0.2))
    before = sorted(tmp_path.iterdir())
    done = subprocess.run(
        list(map(str, [PROGRAM, "enhance", *flags, "-m", model, "-o", "out.wav"])),
        env=env,
        cwd=tmp_path,
        capture_output=True,
    )
    lines = done.stderr.decode().splitlines()
    assert done.returncode == code, lines
    assert part in lines[0] and len(lines) <= 2, lines
    assert sorted(tmp_path.iterdir()) == before


def test_transcription_of_enhanced_sound(unit_model, model, tmp_path):
    """`stt --enhance` hears what `enhance` gives, from files and live."""
    speech_file = ROOT / "tests/data/audio/speech_16k.wav"

    def transcribe(*arguments):
        command = [PROGRAM, "stt", *arguments, "--model", "whisper-tiny.en", "--quiet"]
        done = subprocess.run(list(map(str, command)), capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    plain = transcribe(speech_file)
    assert len(plain.split()) > 3
    assert transcribe(speech_file, "--enhance", unit_model) == plain
    live = transcribe(speech_file, "--enhance", unit_model, "--stream")
    assert live.split()[:3] == transcribe(speech_file, "--stream").split()[:3]
    with wave.open(str(speech_file)) as w:
        x = np.frombuffer(w.readframes(w.getnframes()), "<i2") / 32768
    np.repeat(x, 3).astype("<f4").tofile(tmp_path / "spoken")  # at 48 kHz
    command = [PROGRAM, "stt", "--microphone", "--enhance", unit_model, "--model"]
    process = subprocess.Popen(
        [*command, "whisper-tiny.en"],
        env=devices(input=tmp_path / "spoken"),
        stdout=subprocess.PIPE,
    )
    heard = process.stdout.read(len(live) // 4)
    process.send_signal(signal.SIGINT)
    heard += process.stdout.read()
    assert process.wait(timeout=60) == 0
    assert heard.decode().split()[:3] == live.split()[:3]
    # Random weights: what the pre-stage gives is what is heard.
    run(speech_file, "-m", model, "-o", tmp_path / "out.wav", "--sample-rate", 16000,
        "--sample-format", "f32")
    assert transcribe(tmp_path / "out.wav") == transcribe(
        speech_file, "--enhance", model
    )
    command = [PROGRAM, "stt", speech_file, "--enhance", tmp_path / "nowhere"]
    done = subprocess.run(command, capture_output=True)
    assert done.returncode == 3 and b"nowhere" in done.stderr
