"""`mlx-audio serve` with clients that people have: the official Python client, curl, sockets."""
import base64
import concurrent.futures
import io
import json
import pathlib
import signal
import socket
import subprocess
import time
import wave

import openai
import pytest

from program import PROGRAM
from server_program import get, serving

DATA = pathlib.Path(__file__).resolve().parents[1] / "data"
TEXT = "The quick brown fox jumps over the lazy dog."


@pytest.fixture(scope="module")
def server():
    with serving("--preload", "kokoro,whisper-tiny.en", "--transcription-model", "whisper-tiny.en") as s:
        yield s


@pytest.fixture(scope="module")
def client(server):
    return server.client()


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


def test_speed_takes_the_whole_range_of_the_api(client):
    def length(speed):
        return len(client.audio.speech.create(model="kokoro", voice="af_heart", input=TEXT, response_format="pcm",
                                              speed=speed).content)
    assert length(0.25) > 2.5 * length(1) > 2.5 * 1.5 * length(4)


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


def test_one_body_or_chunks_give_the_same_sound(client, wav):
    import numpy as np
    pcm = client.audio.speech.create(model="kokoro", voice="af_heart", input=TEXT, response_format="pcm",
                                     extra_body={"stream": False, "seed": 1}).content
    assert np.array_equal(np.frombuffer(pcm, "<i2"), np.frombuffer(wav[44:], "<i2"))


def test_speech_events(client):
    with client.audio.speech.with_streaming_response.create(
            model="kokoro", voice="af_heart", input=TEXT, response_format="pcm", stream_format="sse",
            extra_body={"timestamps": True}) as response:
        assert response.headers["content-type"] == "text/event-stream"
        events = [json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: ")]
    assert {e["type"] for e in events[:-1]} == {"speech.audio.delta"} and events[-1]["type"] == "speech.audio.done"
    usage = events[-1]["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"] > len(TEXT)
    spoken = [w for e in events[:-1] for w in e["words"]]
    assert words(" ".join(w["text"] for w in spoken)) == words(TEXT)
    assert all(a["start"] <= a["end"] <= b["start"] + 1e-6 for a, b in zip(spoken, spoken[1:]))
    seconds = sum(len(base64.b64decode(e["audio"])) for e in events[:-1]) / 48000
    assert spoken[-1]["end"] <= seconds


def test_transcription_formats(client, wav):
    def ask(**fields):
        return client.audio.transcriptions.create(model="whisper-tiny.en", file=("a.wav", wav), **fields)

    assert words(ask(response_format="text")) == words(TEXT)
    assert ask(response_format="srt").startswith("1\n00:00:0")
    assert ask(response_format="vtt").startswith("WEBVTT\n")
    verbose = ask(response_format="verbose_json", timestamp_granularities=["word", "segment"], prompt="Animals.",
                  temperature=0, language="en")
    assert verbose.language == "english" and abs(verbose.duration - (len(wav) - 44) / 48000) < 0.01
    assert words(" ".join(w.word for w in verbose.words)) == words(TEXT)
    assert verbose.segments[0].tokens and verbose.segments[0].avg_logprob < 0
    only = ask(response_format="verbose_json", timestamp_granularities=["word"])
    assert only.words and not only.segments
    assert words(ask(chunking_strategy="auto").text) == words(TEXT)
    vad = {"type": "server_vad", "threshold": 0.4, "prefix_padding_ms": 200, "silence_duration_ms": 300}
    assert words(ask(chunking_strategy=vad).text) == words(TEXT)
    assert words(ask(extra_body={"keywords": ["fox", "dog"], "languages": ["en"]}).text) == words(TEXT)
    sure = ask(include=["logprobs"])
    assert sure.logprobs and all(t.logprob <= 0 and bytes(map(int, t.bytes)).decode() == t.token for t in sure.logprobs)
    assert words("".join(t.token for t in sure.logprobs)) == words(TEXT) and ask().logprobs is None
    lines = client.audio.transcriptions.with_raw_response.create(
        model="whisper-tiny.en", file=("a.wav", wav), response_format="text", extra_body={"response_format": "ndjson"})
    assert json.loads(lines.text.splitlines()[0])["is_final"] is True


def test_transcription_events(client, wav):
    events = list(client.audio.transcriptions.create(model="whisper-1", file=("a.wav", wav), stream=True))
    assert [e.type for e in events[:-1]] == ["transcript.text.delta"] * (len(events) - 1)
    assert events[-1].type == "transcript.text.done"
    assert "".join(e.delta for e in events[:-1]).strip() == events[-1].text
    assert events[-1].usage.total_tokens > 0


@pytest.mark.parametrize("fields, error, param", [
    ({"response_format": "diarized_json"}, openai.BadRequestError, "response_format"),
    ({"model": "no-such"}, openai.NotFoundError, None),
    ({"model": "kokoro"}, openai.BadRequestError, None),
    ({"temperature": 3}, openai.BadRequestError, "temperature"),
    ({"timestamp_granularities": ["word"]}, openai.BadRequestError, "timestamp_granularities"),
    ({"file": ("a.wav", b"no sound at all, but text")}, openai.BadRequestError, "file"),
    ({"file": ("a.wav", b"")}, openai.BadRequestError, "file"),
    ({"extra_body": {"known_speaker_names": ["a"]}}, openai.BadRequestError, "known_speaker_names"),
])
def test_bad_transcriptions_are_named(client, wav, fields, error, param):
    with pytest.raises(error) as caught:
        client.audio.transcriptions.create(**{"model": "whisper-tiny.en", "file": ("a.wav", wav), **fields})
    assert set(caught.value.body) == {"message", "type", "param", "code"}
    assert caught.value.body["param"] == param
    assert caught.value.request_id.startswith("req_")


@pytest.mark.parametrize("fields, error, param", [
    ({"input": "x" * 5000}, openai.BadRequestError, "input"),
    ({"voice": "nobody"}, openai.BadRequestError, None),
    ({"speed": 4.1}, openai.BadRequestError, "speed"),
    ({"extra_body": {"language": "xx"}}, openai.BadRequestError, None),
    ({"response_format": "midi"}, openai.BadRequestError, "response_format"),
    ({"model": "../kokoro"}, openai.NotFoundError, None),
    ({"extra_body": {"ref_audio": "/etc/passwd"}}, openai.BadRequestError, "ref_audio"),
    ({"extra_body": {"ref_audio": "http://127.0.0.1/a.wav"}}, openai.BadRequestError, "ref_audio"),
    ({"extra_body": {"top_k": "many"}}, openai.BadRequestError, "top_k"),
])
def test_bad_speech_is_named(client, fields, error, param):
    with pytest.raises(error) as caught:
        client.audio.speech.create(**{"model": "kokoro", "voice": "af_heart", "input": "hi", **fields})
    assert caught.value.body["param"] == param


def test_what_is_not_built_is_refused_by_name(client, server, wav):
    done = subprocess.run(["curl", "-s", "-w", "%{http_code}", server.v1 + "/audio/separations", "-F", "file=@-",
                           "-F", "model=sam-audio"], input=wav, capture_output=True, check=True)
    assert done.stdout.endswith(b"404") and b"not built yet" in done.stdout
    with pytest.raises(openai.BadRequestError):
        client.audio.translations.create(model="whisper-tiny.en", file=("a.wav", wav))


def test_a_request_passes_a_long_one_and_a_client_that_leaves_cancels(server, client):
    with socket.create_connection(("127.0.0.1", server.port)) as gone:
        body = json.dumps({"model": "kokoro", "voice": "af_heart", "input": (TEXT + " ") * 80, "response_format": "pcm"})
        gone.sendall(f"POST /v1/audio/speech HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
                     f"content-length: {len(body)}\r\n\r\n{body}".encode())
        assert gone.recv(4096).startswith(b"HTTP/1.1 200")
        client.audio.speech.create(model="kokoro", voice="af_heart", input="Hi.", response_format="pcm")
        assert json.loads(get(server.url + "/health"))["queue_depth"] == 1, "the long one still works"
    end = time.time() + 30
    while json.loads(get(server.url + "/health"))["queue_depth"] and time.time() < end:
        time.sleep(0.05)
    assert json.loads(get(server.url + "/health"))["queue_depth"] == 0


def test_many_at_once(client):
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        sounds = list(pool.map(lambda i: client.audio.speech.create(
            model="kokoro", voice="af_heart", input=f"Number {i}.", response_format="pcm").content, range(12)))
    assert all(len(s) > 12000 for s in sounds)


def raw(server, data, timeout=15):
    """All that the server answers to bytes, until it closes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=timeout) as s:
        s.sendall(data)
        answer = b""
        while more := s.recv(65536):
            answer += more
        return answer


def test_limits_and_bad_http():
    with serving("--header-timeout", "1", "--body-timeout", "1", "--max-upload", "100000") as server:
        assert raw(server, b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 400")
        assert raw(server, b"GET / HTTP/1.1\r\nx: " + b"y" * 40000).startswith(b"HTTP/1.1 431")
        assert raw(server, b"GET /health HTTP/1.1\r\nhost: lo").startswith(b"HTTP/1.1 408"), "slowloris"
        head = b"POST /v1/audio/transcriptions HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n"
        assert raw(server, head % 90000 + b"a").startswith(b"HTTP/1.1 408")
        assert raw(server, head % 200000 + b"a").startswith(b"HTTP/1.1 413")
        assert raw(server, head.replace(b"localhost", b"evil.example") % 5).startswith(b"HTTP/1.1 403")
        two = b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n"
        assert raw(server, two + two.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")).count(b"200 OK") == 2
        assert raw(server, b"PUT /v1/models HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").startswith(b"HTTP/1.1 405")
        assert json.loads(get(server.url + "/health"))["status"] == "ok"


def test_keys(tmp_path):
    (tmp_path / "keys").write_text("# two\nalpha\nbeta\n")
    with serving("--api-key-file", tmp_path / "keys") as server:
        for key in ["alpha", "beta"]:
            assert openai.OpenAI(base_url=server.v1, api_key=key).models.list().data is not None
        with pytest.raises(openai.AuthenticationError):
            openai.OpenAI(base_url=server.v1, api_key="gamma").models.list()
        assert "ok" in get(server.url + "/health")
    done = subprocess.run([PROGRAM, "serve", "--host", "0.0.0.0", "--port", "0"], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "--api-key" in done.stderr


def test_a_model_that_fails_to_load_leaves_the_rest(tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text('{"model_type": "whisper", "n_mels": 80}')
    with serving("--model", broken, "--memory-limit", "10M") as server:
        client = server.client()
        with pytest.raises(openai.InternalServerError) as caught:
            client.audio.transcriptions.create(model="broken", file=("a.wav", (DATA / "audio").glob("*.wav").__next__().read_bytes()))
        assert "cannot be loaded" in str(caught.value)
        with pytest.raises(openai.InternalServerError) as caught:
            client.audio.speech.create(model="kokoro", voice="af_heart", input="hi")
        assert caught.value.status_code == 507 and "--memory-limit" in str(caught.value)
        assert client.models.list().data


def test_a_stop_drains():
    with serving("--preload", "kokoro") as server:
        client = server.client()
        server.wait_log("model_loaded")
        with client.audio.speech.with_streaming_response.create(
                model="kokoro", voice="af_heart", input=(TEXT + " ") * 4, response_format="pcm") as response:
            chunks = response.iter_bytes()
            size = len(next(chunks))
            server.process.send_signal(signal.SIGTERM)
            server.wait_log("draining")
            with pytest.raises(openai.InternalServerError) as caught:
                client.audio.speech.create(model="kokoro", voice="af_heart", input="late")
            assert caught.value.status_code == 503
            size += sum(map(len, chunks))
        assert size > 4 * 2 * 48000, "the response was finished"
        assert server.process.wait(timeout=60) == 0


def test_documents(server):
    api = json.loads(get(server.url + "/openapi.json"))
    page = get(server.url + "/docs")
    for path in api["paths"]:
        assert path in page
    assert "mlx_audio_queue_depth" in get(server.url + "/metrics")
