"""Enhancement by the server, on tiny random weights: of recordings, and live over a WebSocket."""
import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
import urllib.request

import numpy as np
import pytest
import websockets
from websockets.sync.client import connect

from program import PROGRAM, ROOT
from server_program import get, serving

sys.path.insert(0, str(ROOT / "bench"))
import mossformer2  # noqa: E402

KEY = "test-key-1"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    mossformer2.save(folder, mossformer2.make_tensors(dim=32, blocks=2))
    return folder


@pytest.fixture(scope="module")
def server(model):
    with serving("--model", f"tiny-se={model}", "--api-key", KEY, "--allowed-origins", "http://page.example") as s:
        yield s


def open_socket(server, **options):
    headers = {"Authorization": "Bearer " + KEY}
    return connect(server.url.replace("http", "ws") + "/v1/audio/enhancements/realtime",
                   **{"additional_headers": headers, "max_queue": None, **options})


def begin(ws, **settings):
    ws.send(json.dumps({"model": "tiny-se", **settings}))
    return json.loads(ws.recv(timeout=60))


def stop(ws):
    """Asks for the rest: the sound and the last message."""
    closed = contextlib.suppress(websockets.exceptions.ConnectionClosedError)  # after an error
    with closed:
        ws.send(json.dumps({"action": "stop"}))
    sound, last = b"", None
    with closed:
        for message in ws:
            if isinstance(message, bytes):
                sound += message
            else:
                assert last is None, (last, message)
                last = json.loads(message)
    return sound, last


def speech(seconds, rate=48000, channels=1, dtype="<i2"):
    x = np.stack([mossformer2.speech_like(seconds, i)[::48000 // rate] for i in range(channels)], 1)
    return (x if dtype == "<f4" else np.round(x * 20000)).astype(dtype).tobytes()


def test_a_recording_gives_what_the_program_gives(server, model, tmp_path):
    file = tmp_path / "in.wav"
    mossformer2.write_wav(file, mossformer2.speech_like(2.3))
    done = subprocess.run([PROGRAM, "enhance", file, "-m", model, "-o", "-", "--keep-rate", "--format", "pcm"],
                          capture_output=True, check=True)
    command = ["curl", "-sf", server.v1 + "/audio/enhancements", "-H", "Authorization: Bearer " + KEY,
               "-F", "model=tiny-se", "-F", "response_format=pcm", "-F", f"file=@{file}"]
    answer = subprocess.run(command, capture_output=True, check=True)
    assert answer.stdout == done.stdout and len(answer.stdout) == int(2.3 * 48000) * 2


@pytest.mark.parametrize("rate,channels,format,hop,lookahead,mix", [
    (48000, 1, "s16", 0.5, 0.2, 0),
    (16000, 2, "f32", 0.2, 0.1, 0.25),
])
def test_the_socket_gives_what_the_program_gives(server, model, rate, channels, format, hop, lookahead, mix):
    x = speech(2.3, rate, channels, {"s16": "<i2", "f32": "<f4"}[format])
    done = subprocess.run(
        [PROGRAM, "enhance", "-", "-m", model, "-o", "-", "--stream", "--keep-rate", "--raw",
         f"{rate}:{channels}:{format}", "--format", "pcm", "--sample-format", format, "--verbose",
         "--hop-seconds", str(hop), "--lookahead-seconds", str(lookahead), "--mix", str(mix)],
        input=x, capture_output=True, check=True)
    with open_socket(server) as ws:
        created = begin(ws, sample_rate=rate, channels=channels, format=format, hop_seconds=hop,
                        lookahead_seconds=lookahead, mix=mix)
        latency = created.pop("latency_seconds")
        assert created == {"type": "session.created", "model": "tiny-se", "sample_rate": rate, "channels": channels,
                           "format": format}
        assert f"latency {latency:.2f} s" in done.stderr.decode()
        for at in range(0, len(x), 997):  # no whole frames
            ws.send(x[at:at + 997])
        sound, last = stop(ws)
    assert last == {"type": "session.done", "seconds": pytest.approx(2.3, abs=1e-3)}
    assert ws.close_code == 1000
    assert sound == done.stdout and len(sound) == len(x)


def test_sound_comes_back_while_more_is_spoken(server):
    x = speech(1)
    with open_socket(server) as ws:
        latency = begin(ws, hop_seconds=0.2, lookahead_seconds=0.1)["latency_seconds"]
        cut = int(0.4 * 48000) * 2
        ws.send(x[:cut])
        first = ws.recv(timeout=30)
        assert len(first) >= cut - int(latency * 48000) * 2 > 0
        ws.send(x[cut:])
        rest, _ = stop(ws)
    assert len(first) + len(rest) == len(x)


@pytest.mark.parametrize("message,param,code", [
    ("no JSON", None, None),
    (b"\0\0", None, None),
    ({"model": "no-such-model"}, "model", "not_found"),
    ({"model": "whisper-tiny.en"}, "model", "model_not_supported"),
    ({"format": "s24"}, "format", "invalid_value"),
    ({"sample_rate": 100}, "sample_rate", "invalid_value"),
    ({"channels": 9}, "channels", "invalid_value"),
    ({"mix": 1.5}, "mix", "invalid_value"),
    ({"hop_seconds": 0}, "hop_seconds", "invalid_value"),
    ({"lookahead_seconds": "long"}, "lookahead_seconds", "invalid_value"),
])
def test_a_wrong_first_message_is_named_and_another_may_follow(server, message, param, code):
    with open_socket(server) as ws:
        ws.send(json.dumps({"model": "tiny-se", **message}) if isinstance(message, dict) else message)
        answer = json.loads(ws.recv(timeout=30))
        error = answer["error"]
        assert answer["type"] == "error" and error["message"] and error["type"].endswith("_error"), answer
        assert error["param"] == param and code in (None, error["code"]), answer
        assert begin(ws)["type"] == "session.created"
        ws.send(json.dumps({"action": "dance"}))
        assert json.loads(ws.recv(timeout=30))["error"]["param"] == "action"
        ws.send(speech(0.2))
        assert stop(ws)[1]["type"] == "session.done"


@pytest.mark.parametrize("x,part", [
    (np.full(4800, np.nan, "<f4").tobytes(), "finite"),
    (b"\0\0\0", "empty"),  # less than one sample
])
def test_sound_that_cannot_be_enhanced_ends_the_session(server, x, part):
    with open_socket(server) as ws:
        begin(ws, format="f32")
        ws.send(x)
        sound, last = stop(ws)
    assert sound == b"" and last["type"] == "error" and part in last["error"]["message"], last
    assert ws.close_code == 1008


def settled(server):
    """Waits until no session is left."""
    end = time.time() + 30
    while time.time() < end:
        health = json.loads(get(server.url + "/health"))
        if health["queue_depth"] == 0 and health["sessions"] == 0:
            return True
        time.sleep(0.05)
    return False


def test_clients_that_vanish_free_their_sessions(server):
    for goodbye in (False, True) * 3:
        with open_socket(server) as ws:
            begin(ws)
            ws.send(speech(1))
            if not goodbye:
                ws.socket.shutdown(socket.SHUT_RDWR)
    assert settled(server)
    with open_socket(server) as ws:
        begin(ws)
        ws.send(speech(0.3))
        assert len(stop(ws)[0]) == len(speech(0.3))


def test_a_minute_at_full_speed_is_taken_slowly(server):
    """More than may wait: reading pauses, nothing is lost, memory stays."""
    before = server.resident_bytes()
    x = speech(1)
    with open_socket(server) as ws:
        begin(ws)

        def push():
            for _ in range(60):
                ws.send(x)
            ws.send(json.dumps({"action": "stop"}))
        pusher = threading.Thread(target=push)
        pusher.start()
        messages = list(ws)
        pusher.join()
    assert sum(map(len, messages[:-1])) == 60 * len(x)
    assert json.loads(messages[-1])["seconds"] == pytest.approx(60)
    assert server.resident_bytes() - before < 100e6


def test_two_sockets_and_a_spoken_sentence_take_turns(model):
    """Sockets that always have sound to clean leave the device to others, and others to them."""
    x = speech(1)
    with serving("--model", f"tiny-se={model}", "--preload", "kokoro,tiny-se") as server:
        spoken = threading.Event()
        received = [0, 0]

        def clean(index):
            with open_socket(server) as ws:
                begin(ws)
                sent = 0
                while not spoken.is_set():
                    while sent - received[index] < 4 * len(x):  # always something to do
                        ws.send(x)
                        sent += len(x)
                    received[index] += len(ws.recv(timeout=60))
                received[index] += len(stop(ws)[0])
                assert received[index] == sent

        sockets = [threading.Thread(target=clean, args=(i,)) for i in range(2)]
        try:
            for thread in sockets:
                thread.start()
            while not all(received):
                assert all(thread.is_alive() for thread in sockets)
                time.sleep(0.02)
            before = list(received)
            text = "\n\n".join(f"And Mr. John Dashwood had then leisure to consider it {n} times." for n in ("two", "five", "ten"))
            body = json.dumps({"model": "kokoro", "input": text, "voice": "af_heart", "response_format": "pcm"})
            request = urllib.request.Request(server.v1 + "/audio/speech", body.encode(),
                                             {"content-type": "application/json"})
            with urllib.request.urlopen(request, timeout=60) as response:
                assert len(response.read()) > 6 * 24000 * 2
            during = [now - then for now, then in zip(received, before)]
        finally:
            spoken.set()
            for thread in sockets:
                thread.join(timeout=60)
        assert min(during) >= len(x) and max(during) < 3 * min(during), during
        assert settled(server)


@pytest.mark.parametrize("options,status", [
    ({"additional_headers": {}}, 401),
    ({"origin": "http://other.example"}, 403),
])
def test_who_may_not_connect(server, options, status):
    with pytest.raises(websockets.exceptions.InvalidStatus) as caught:
        open_socket(server, **options)
    assert caught.value.response.status_code == status


def test_a_page_connects_with_its_key_as_subprotocol(server):
    with open_socket(server, additional_headers={}, origin="http://page.example",
                     subprotocols=["realtime", "openai-insecure-api-key." + KEY]) as ws:
        assert begin(ws)["type"] == "session.created"


def test_the_example_of_the_documentation(model, capsys):
    page = (ROOT / "docs/realtime.md").read_text().split("## /v1/audio/enhancements/realtime")[1]
    example = page.split("```python\n")[1].split("```")[0]
    x, played = speech(1), []
    with serving("--model", f"mossformer2={model}") as s:
        exec(example.replace("127.0.0.1:8000", f"127.0.0.1:{s.port}"),
             {"blocks": [x[:5000], x[5000:]], "play": played.append})
    assert len(b"".join(played)) == len(x)
    said = capsys.readouterr().out
    assert "'latency_seconds': 0.73" in said and "'session.done'" in said
