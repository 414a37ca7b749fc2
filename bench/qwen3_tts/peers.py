"""Times one other engine; run.py calls it with that engine's interpreter: `peers.py ENGINE MODEL FRAMES TEXT`.

Prints one line of JSON: seconds of the prompt, a frame and the codec a frame, of the first sound where it can stream, the peak memory
in bytes and the version. Frames are made at the engine's own default sampling, on all processors, and then their sound at once.
"""
import importlib.metadata
import json
import os
import pathlib
import resource
import sys
import time

THREADS = len(os.sched_getaffinity(0))


class Clock:
    """When each step of the talker began (the first is the prompt), and when the codec began and ended."""

    def __init__(self):
        self.steps, self.codec = [], []

    def times(self, frames):
        start, end = self.codec
        return {"prompt": self.steps[1] - self.steps[0], "frame": (start - self.steps[1]) / (len(self.steps) - 1),
                "codec": (end - start) / frames}


def mlx_audio(model, frames, text):
    import mlx.core as mx
    from mlx_audio.tts.utils import load_model

    clock = Clock()

    class Talker:
        def __init__(self, talker):
            self.talker = talker

        def __getattr__(self, name):
            return getattr(self.talker, name)

        def __call__(self, *args, **options):
            clock.steps.append(time.time())
            out = self.talker(*args, **options)
            mx.eval(out)
            return out

    def decode(codes):
        mx.eval(codes)
        clock.codec.append(time.time())
        out = original(codes)
        mx.eval(out)
        clock.codec.append(time.time())
        return out

    loaded = load_model(model)
    loaded.talker = Talker(loaded.talker)
    original, loaded.speech_tokenizer.decode = loaded.speech_tokenizer.decode, decode
    list(loaded.generate_custom_voice(text=text, speaker="vivian", language="english", max_tokens=frames))
    return clock.times(frames)


def pytorch(model, frames, text, dtype):
    import torch
    from qwen_tts import Qwen3TTSModel

    clock = Clock()
    torch.set_num_threads(THREADS)
    loaded = Qwen3TTSModel.from_pretrained(str(model), dtype=getattr(torch, dtype))
    loaded.model.talker.register_forward_pre_hook(lambda *_: clock.steps.append(time.time()))

    def decode(*args, **options):
        clock.codec.append(time.time())
        out = original(*args, **options)
        clock.codec.append(time.time())
        return out

    original, loaded.model.speech_tokenizer.decode = loaded.model.speech_tokenizer.decode, decode
    # One token more than the frames that come out.
    loaded.generate_custom_voice(text=text, speaker="vivian", language="english", max_new_tokens=frames + 1)
    return clock.times(frames)


def crispasr(model, frames, text):
    """Through the C interface: the package's own streams sentences, this one frames."""
    import ctypes

    import crispasr as package

    class Params(ctypes.Structure):  # longer than theirs, of which only the head is touched
        _fields_ = [("threads", ctypes.c_int), ("verbosity", ctypes.c_int), ("gpu", ctypes.c_bool),
                    ("rest", ctypes.c_char * 119)]

    lib = ctypes.CDLL(str(pathlib.Path(package.__file__).with_name("libcrispasr.so")))
    lib.qwen3_tts_context_default_params.restype = Params
    for name in ("init_from_file", "synthesize_codes", "decode_codes", "synthesize_streaming"):
        getattr(lib, "qwen3_tts_" + name).restype = ctypes.c_void_p
    params = lib.qwen3_tts_context_default_params()
    params.threads, params.verbosity, params.gpu = THREADS, 0, False
    context = ctypes.c_void_p(lib.qwen3_tts_init_from_file(str(model / "talker.gguf").encode(), params))
    for name, value in (("codec_path", str(model / "codec.gguf")), ("speaker_by_name", "vivian"), ("language_by_name", "english")):
        if getattr(lib, "qwen3_tts_set_" + name)(context, value.encode()):
            sys.exit(f"{name}: {value} refused")
    count = ctypes.c_int()

    def codes(n):
        os.environ["CRISPASR_QWEN3_TTS_MAX_FRAMES"] = str(n)
        start = time.time()
        out = lib.qwen3_tts_synthesize_codes(context, text.encode(), ctypes.byref(count))
        if count.value != 16 * n:
            sys.exit(f"{count.value} codes for {n} frames")
        return ctypes.c_void_p(out), time.time() - start

    codes(1)
    _, one = codes(1)
    made, whole = codes(frames)
    start = time.time()
    lib.qwen3_tts_decode_codes(context, made, count, ctypes.byref(count))
    codec = time.time() - start
    os.environ["CRISPASR_QWEN3_TTS_MAX_FRAMES"] = "1"
    start = time.time()
    lib.qwen3_tts_synthesize_streaming(context, text.encode(), 1, -1, None, None, ctypes.byref(count))
    first = time.time() - start
    frame = (whole - one) / (frames - 1)
    return {"prompt": one - frame, "frame": frame, "codec": codec / frames, "first": first}


def main():
    engine, model, frames, text = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    kind, _, dtype = engine.partition(":")
    result = {"mlx-audio": mlx_audio, "crispasr": crispasr, "pytorch": pytorch}[kind](model, frames, text, *[dtype] * bool(dtype))
    result["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    result["version"] = importlib.metadata.version({"pytorch": "torch"}.get(kind, kind))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
