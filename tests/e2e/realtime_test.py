"""Live transcription over WebSockets, with the official Python client and plain WebSockets."""
import asyncio
import base64
import json
import pathlib
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

import numpy as np
import openai
import pytest
import websockets
from websockets.sync.client import connect

from server_program import serving

DATA = pathlib.Path(__file__).resolve().parents[1] / "data"
KEY = "test-key-1"
TRANSCRIPTION = "conversation.item.input_audio_transcription."
# tests/data/audio/speech_16k.wav: "And Mr. John Dashwood had then leisure to consider how much
# there might be prudently in his power to do for them."
SPOKEN = {"john", "dashwood", "leisure", "consider", "prudently", "power"}


@pytest.fixture(scope="module")
def server():
    with serving("--preload", "whisper-tiny.en", "--transcription-model", "whisper-tiny.en", "--api-key", KEY,
                 "--allowed-origins", "http://page.example") as s:
        yield s


@pytest.fixture(scope="module")
def client(server):
    return openai.OpenAI(base_url=server.v1, api_key=KEY, max_retries=0)


def sound(rate=24000, silence=1.0, codec="pcm_s16le"):
    """speech_16k.wav with silence after it, as raw samples."""
    return subprocess.run(
        ["ffmpeg", "-v", "error", "-i", DATA / "audio" / "speech_16k.wav", "-af", f"apad=pad_dur={silence}", "-ar", str(rate),
         "-ac", "1", "-c:a", codec, "-f", {"pcm_s16le": "s16le", "pcm_mulaw": "mulaw", "pcm_alaw": "alaw"}[codec], "-"],
        capture_output=True, check=True).stdout


def words(text):
    return set("".join(c for c in text.lower() if c.isalpha() or c == " ").split())


def chunks(data, size):
    return [data[i:i + size] for i in range(0, len(data), size)]


def until(connection, last, most=300):
    """The official client's events up to one of type `last`."""
    events = []
    for _ in range(most):
        events.append(connection.recv())
        assert events[-1].type != "error" or last == "error", events[-1]
        if events[-1].type == last:
            return events
    raise AssertionError(f"no {last}: {[e.type for e in events]}")


def configure(connection, **audio_input):
    connection.session.update(session={"type": "transcription", "audio": {"input": audio_input}})
    return until(connection, "session.updated")[-1].session


def test_official_client_with_turn_detection(client):
    with client.realtime.connect(model="whisper-tiny.en", extra_query={"intent": "transcription"}) as connection:
        created = connection.recv()
        assert created.type == "session.created" and created.session.type == "transcription"
        assert created.session.audio.input.turn_detection.type == "server_vad"
        session = configure(connection, format={"type": "audio/pcm", "rate": 24000},
                            transcription={"model": "whisper-tiny.en", "language": "en", "prompt": "", "delay": "low"},
                            turn_detection={"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300,
                                            "silence_duration_ms": 500})
        assert session.audio.input.transcription.model == "whisper-tiny.en"
        for part in chunks(sound(), 4800):
            connection.input_audio_buffer.append(audio=base64.b64encode(part).decode())
            time.sleep(0.05)  # twice the speed of speech
        events = until(connection, TRANSCRIPTION + "completed")
    kinds = [e.type for e in events]
    by_type = {e.type: e for e in events}
    item = by_type["input_audio_buffer.speech_started"].item_id
    assert 0 <= by_type["input_audio_buffer.speech_started"].audio_start_ms < 1000
    assert 6000 < by_type["input_audio_buffer.speech_stopped"].audio_end_ms < 8500
    assert by_type["input_audio_buffer.committed"].item_id == item
    added = by_type["conversation.item.added"].item
    assert (added.id, added.role, added.type) == (item, "user", "message")
    deltas = [e for e in events if e.type == TRANSCRIPTION + "delta"]
    assert kinds.index(TRANSCRIPTION + "delta") < kinds.index("input_audio_buffer.speech_stopped"), "text comes while one speaks"
    done = events[-1]
    assert done.item_id == item and all(e.item_id == item for e in deltas)
    assert "".join(e.delta for e in deltas) == done.transcript
    assert SPOKEN <= words(done.transcript), done.transcript
    assert done.usage.type == "duration" and 6 < done.usage.seconds < 9
    assert [language.code for language in done.languages] == ["en"]
    assert len({e.event_id for e in events}) == len(events)


def test_official_client_commits_itself_with_logprobs(client):
    with client.realtime.connect(extra_query={"intent": "transcription"}) as connection:
        until(connection, "session.created")
        connection.session.update(session={
            "type": "transcription", "include": ["item.input_audio_transcription.logprobs"],
            "audio": {"input": {"transcription": {"model": "gpt-4o-mini-transcribe", "keywords": ["Dashwood"]},
                                "turn_detection": None}}})
        assert until(connection, "session.updated")[-1].session.audio.input.turn_detection is None
        for part in chunks(sound(), 48000):
            connection.input_audio_buffer.append(audio=base64.b64encode(part).decode())
        connection.input_audio_buffer.commit()
        events = until(connection, TRANSCRIPTION + "completed")
        kinds = [e.type for e in events]
        assert kinds[:3] == ["input_audio_buffer.committed", "conversation.item.added", "conversation.item.done"]
        assert SPOKEN <= words(events[-1].transcript)
        assert "Dashwood" in events[-1].transcript
        assert events[-1].logprobs and all(p.logprob <= 0 and bytes(p.bytes).decode() == p.token
                                           for p in events[-1].logprobs)
        connection.input_audio_buffer.commit(event_id="second")
        error = until(connection, "error")[-1].error
        assert (error.code, error.event_id) == ("input_audio_buffer_commit_empty", "second")
        connection.input_audio_buffer.append(audio=base64.b64encode(sound()).decode())
        connection.input_audio_buffer.clear()
        until(connection, "input_audio_buffer.cleared")


@pytest.mark.parametrize("codec,kind", [("pcm_mulaw", "audio/pcmu"), ("pcm_alaw", "audio/pcma")])
def test_telephone_sound(client, codec, kind):
    with client.realtime.connect(extra_query={"intent": "transcription"}) as connection:
        configure(connection, format={"type": kind}, turn_detection=None)
        connection.input_audio_buffer.append(audio=base64.b64encode(sound(8000, codec=codec)).decode())
        connection.input_audio_buffer.commit()
        done = until(connection, TRANSCRIPTION + "completed")[-1]
        assert {"john", "leisure", "consider"} <= words(done.transcript), done.transcript


def test_the_session_survives_errors(client):
    with client.realtime.connect(extra_query={"intent": "transcription"}) as connection:
        until(connection, "session.created")
        for bad, param in [
            ({"type": "session.update", "session": {"type": "transcription", "audio": {"input": {
                "turn_detection": {"type": "semantic_vad", "eagerness": "low"}}}}},
             "session.audio.input.turn_detection.type"),
            ({"type": "session.update", "session": {"type": "transcription", "audio": {"input": {
                "transcription": {"model": "no-such-model"}}}}}, "session.audio.input.transcription.model"),
            ({"type": "session.update", "session": {"type": "realtime"}}, "session.type"),
            ({"type": "input_audio_buffer.append", "audio": "!"}, "audio"),
            ({"type": "response.create"}, "type"),
        ]:
            connection.send({**bad, "event_id": "mine"})
            error = until(connection, "error")[-1].error
            assert (error.param, error.event_id) == (param, "mine"), error
        # A language that the model lacks is found out when it listens.
        configure(connection, transcription={"model": "whisper-tiny.en", "language": "fr"}, turn_detection=None)
        connection.input_audio_buffer.append(audio=base64.b64encode(sound()).decode())
        connection.input_audio_buffer.commit()
        failed = until(connection, TRANSCRIPTION + "failed")[-1]
        assert "fr" in failed.error.message
        configure(connection, transcription={"model": "whisper-tiny.en"}, turn_detection=None)
        connection.input_audio_buffer.append(audio=base64.b64encode(sound()).decode())
        connection.input_audio_buffer.commit()
        assert SPOKEN <= words(until(connection, TRANSCRIPTION + "completed")[-1].transcript)


def test_client_secrets(server, client):
    made = client.realtime.client_secrets.create(
        expires_after={"anchor": "created_at", "seconds": 60},
        session={"type": "transcription", "audio": {"input": {"transcription": {"model": "whisper-tiny.en"},
                                                              "turn_detection": None}}})
    assert made.value.startswith("ek_") and 0 < made.expires_at - time.time() <= 60
    assert made.session.type == "transcription"
    # A page has no headers: the key is a subprotocol.
    with connect(server.url.replace("http", "ws") + "/v1/realtime",
                 subprotocols=["realtime", "openai-insecure-api-key." + made.value], origin="http://page.example") as page:
        assert page.subprotocol == "realtime"
        created = json.loads(page.recv())
        assert created["session"]["audio"]["input"]["turn_detection"] is None
        assert created["session"]["audio"]["input"]["transcription"]["model"] == "whisper-tiny.en"
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=server.v1, api_key=made.value, max_retries=0).models.list()
    with pytest.raises(openai.BadRequestError) as caught:
        client.realtime.client_secrets.create(expires_after={"anchor": "created_at", "seconds": 5})
    assert caught.value.param == "seconds"


def post(server, path, body):
    request = urllib.request.Request(server.v1 + path, json.dumps(body).encode(), method="POST",
                                     headers={"authorization": "Bearer " + KEY, "content-type": "application/json"})
    with urllib.request.urlopen(request) as response:
        return json.load(response)


def test_the_beta_interface(server):
    made = post(server, "/realtime/transcription_sessions",
                {"input_audio_format": "pcm16", "input_audio_transcription": {"model": "whisper-1", "language": "en"},
                 "turn_detection": {"type": "server_vad"}})
    assert made["object"] == "realtime.transcription_session"
    key = made["client_secret"]["value"]
    with connect(server.url.replace("http", "ws") + "/v1/realtime?intent=transcription",
                 additional_headers={"Authorization": "Bearer " + key, "OpenAI-Beta": "realtime=v1"}) as ws:
        assert json.loads(ws.recv())["type"] == "transcription_session.created"
        ws.send(json.dumps({"type": "transcription_session.update",
                                "session": {"input_audio_transcription": {"model": "whisper-1"}}}))
        updated = json.loads(ws.recv())
        assert updated["type"] == "transcription_session.updated"
        assert updated["session"]["input_audio_format"] == "pcm16"
        ws.send(json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(sound()).decode()}))
        kinds = []
        while not kinds or kinds[-1]["type"] != TRANSCRIPTION + "completed":
            kinds.append(json.loads(ws.recv(timeout=60)))
        assert "conversation.item.created" in [k["type"] for k in kinds]
        assert SPOKEN <= words(kinds[-1]["transcript"])


@pytest.mark.parametrize("options,status", [
    ({}, 401),
    ({"additional_headers": {"Authorization": "Bearer wrong"}}, 401),
    ({"subprotocols": ["realtime", "openai-insecure-api-key.wrong"]}, 401),
    ({"additional_headers": {"Authorization": "Bearer " + KEY}, "origin": "http://other.example"}, 403),
    ({"additional_headers": {"Authorization": "Bearer " + KEY}, "query": "?model=no-such-model"}, 404),
    ({"additional_headers": {"Authorization": "Bearer " + KEY}, "query": "?intent=conversation"}, 400),
])
def test_who_may_not_connect(server, options, status):
    query = options.pop("query", "")
    with pytest.raises(websockets.exceptions.InvalidStatus) as caught:
        connect(server.url.replace("http", "ws") + "/v1/realtime" + query, **options)
    assert caught.value.response.status_code == status
    assert json.loads(caught.value.response.body)["error"]["message"]


def test_the_protocol_of_mlx_audio(server):
    """As mlx-audio's own page talks: settings, 16-bit samples, stop."""
    with connect(server.url.replace("http", "ws") + "/v1/audio/transcriptions/realtime",
                 additional_headers={"Authorization": "Bearer " + KEY}) as ws:
        ws.send(json.dumps({"model": "whisper-tiny.en", "language": "en", "sample_rate": 16000, "streaming": True}))
        assert json.loads(ws.recv())["status"] == "ready"
        for part in chunks(sound(16000, silence=0), 8192):
            ws.send(part)
        ws.send(json.dumps({"action": "stop"}))
        messages = [json.loads(m) for m in ws]
    complete = [m for m in messages if m["type"] == "complete"]
    assert len(complete) == 2, "speech is cut after five seconds"
    assert all(not m["is_partial"] and m["language"] == "en" for m in complete)
    assert {"john", "dashwood", "leisure", "consider"} <= words(" ".join(m["text"] for m in complete))
    assert any(m["type"] == "delta" and m["delta"] for m in messages)


def test_many_streams_at_once(server):
    """Eight clients at the speed of speech: each gets its text, soon after its last word."""
    data = sound()

    async def one(delay):
        await asyncio.sleep(delay)
        async with websockets.connect(server.url.replace("http", "ws") + "/v1/realtime?intent=transcription",
                                      additional_headers={"Authorization": "Bearer " + KEY}) as ws:
            started = time.time()
            for i, part in enumerate(chunks(data, 4800)):
                await asyncio.sleep(max(0, started + 0.1 * i - time.time()))
                await ws.send(json.dumps({"type": "input_audio_buffer.append",
                                              "audio": base64.b64encode(part).decode()}))
            sent = time.time()
            while True:
                event = json.loads(await asyncio.wait_for(ws.recv(), 60))
                assert event["type"] != "error", event
                if event["type"] == TRANSCRIPTION + "completed":
                    return event["transcript"], time.time() - sent

    async def all_of_them():
        return await asyncio.gather(*[one(0.2 * i) for i in range(8)])

    for transcript, _ in asyncio.run(all_of_them()):
        assert len(SPOKEN & words(transcript)) >= 5, transcript


def test_whole_files_at_full_speed_are_taken_slowly(server):
    """Three minutes sent at once: reading pauses, nothing is lost, memory stays."""
    before = server.resident_bytes()
    data = sound(silence=1.5)
    turns = 20
    with connect(server.url.replace("http", "ws") + "/v1/realtime?intent=transcription",
                 additional_headers={"Authorization": "Bearer " + KEY}, max_queue=None) as ws:
        def push():
            for _ in range(turns):
                ws.send(json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(data).decode()}))
        pusher = threading.Thread(target=push)
        pusher.start()
        texts = []
        while len(texts) < turns:
            event = json.loads(ws.recv(timeout=120))
            assert event["type"] != "error", event
            if event["type"] == TRANSCRIPTION + "completed":
                texts.append(event["transcript"])
        pusher.join()
    assert all("dashwood" in words(t) or "leisure" in words(t) for t in texts), texts
    assert server.resident_bytes() - before < 150e6


def test_a_client_that_vanishes_costs_nothing(server):
    for _ in range(5):
        with connect(server.url.replace("http", "ws") + "/v1/realtime?intent=transcription",
                     additional_headers={"Authorization": "Bearer " + KEY}) as client:
            client.send(json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(sound()).decode()}))
            client.socket.shutdown(socket.SHUT_RDWR)  # no goodbye
    end = time.time() + 30
    while time.time() < end:
        with urllib.request.urlopen(server.url + "/health") as response:
            health = json.load(response)
        if health["queue_depth"] == 0 and health.get("sessions", 0) == 0:
            break
        time.sleep(0.1)
    assert health["queue_depth"] == 0 and health.get("sessions", 0) == 0, health


def test_a_thousand_idle_clients_are_cheap(server):
    async def open_all():
        before = server.resident_bytes()
        sockets = []
        for _ in range(20):
            sockets += await asyncio.gather(*[
                websockets.connect(server.url.replace("http", "ws") + "/v1/realtime?intent=transcription",
                                   additional_headers={"Authorization": "Bearer " + KEY}, open_timeout=60)
                for _ in range(50)])
        for ws in sockets:
            assert json.loads(await ws.recv())["type"] == "session.created"
        used = server.resident_bytes() - before
        await asyncio.gather(*[ws.close() for ws in sockets])
        return used

    assert asyncio.run(open_all()) < 50e6


def test_stopping_says_goodbye():
    with serving("--transcription-model", "whisper-tiny.en") as s:
        with connect(s.url.replace("http", "ws") + "/v1/realtime") as ws:
            ws.recv()
            s.process.terminate()
            with pytest.raises(websockets.exceptions.ConnectionClosed) as caught:
                while True:
                    ws.recv(timeout=10)
            assert caught.value.rcvd.code == 1001
        assert s.process.wait(30) == 0


def test_a_model_that_cannot_be_loaded_is_named(tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text(json.dumps({"model_type": "whisper", "vocab_size": 51864}))
    (broken / "model.safetensors").write_bytes(b"nothing")
    with serving("--model", broken, "--transcription-model", "broken") as s:
        with connect(s.url.replace("http", "ws") + "/v1/realtime") as ws:
            ws.recv()
            ws.send(json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(bytes(9600)).decode()}))
            error = json.loads(ws.recv(timeout=30))
            assert error["type"] == "error" and error["error"]["message"], error
