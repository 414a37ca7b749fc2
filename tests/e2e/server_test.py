"""`mlx-audio serve` with clients that people have: the official Python client, curl, sockets."""
import io
import json
import pathlib
import subprocess
import wave

import openai
import pytest

from server_program import serving

DATA = pathlib.Path(__file__).resolve().parents[1] / "data"
TEXT = "The quick brown fox jumps over the lazy dog."


@pytest.fixture(scope="module")
def server():
    with serving("--preload", "kokoro,whisper-tiny.en", "--transcription-model", "whisper-tiny.en") as s:
        yield s


@pytest.fixture(scope="module")
def client(server):
    return openai.OpenAI(base_url=server.v1, api_key="none", max_retries=0)


@pytest.fixture(scope="module")
def wav(client):
    """The sentence, spoken, as WAV with a true header."""
    return client.audio.speech.create(model="kokoro", voice="af_heart", input=TEXT, response_format="wav",
                                      extra_body={"stream": False, "seed": 1}).content


def words(text):
    return "".join(c for c in text.lower() if c.isalpha() or c == " ").split()


def test_speech_in_every_format(client, tmp_path):
    for name in ["mp3", "opus", "aac", "flac", "wav", "pcm"]:
        path = tmp_path / f"a.{name}"
        with client.audio.speech.with_streaming_response.create(
                model="tts-1", voice="alloy", input=TEXT, response_format=name) as response:
            assert response.headers["transfer-encoding"] == "chunked"
            response.stream_to_file(path)
        raw = ["-f", "s16le", "-ar", "24000", "-ac", "1"] if name == "pcm" else []
        done = subprocess.run(["ffmpeg", "-v", "error", *raw, "-i", path, "-f", "s16le", "-ar", "24000", "-ac", "1", "-"],
                              capture_output=True, check=True)
        assert done.stderr == b"", (name, done.stderr)
        assert 2.0 < len(done.stdout) / 48000 < 5.0, name


def test_what_is_spoken_is_heard(client, wav):
    with wave.open(io.BytesIO(wav)) as w:
        assert w.getnframes() * 2 + 44 == len(wav), "the header tells the length"
    result = client.audio.transcriptions.create(model="whisper-1", file=("a.wav", wav))
    assert words(result.text) == words(TEXT)


def test_models(client):
    ids = {m.id for m in client.models.list()}
    assert {"kokoro", "whisper-tiny.en"} <= ids
    assert client.models.retrieve("kokoro").task == "speech"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("org/no-such")
