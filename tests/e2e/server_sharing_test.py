"""Requests that share the device: what is batched, and who is served when, seen by clients."""
import concurrent.futures
import http.client
import json
import re
import threading
import time

import pytest

from qwen3_tts_test import CUSTOM
from server_program import get, serving

TEXT = "The quick brown fox jumps over the lazy dog."
SECONDS_A_FRAME = 0.08


def post(server, body):
    """The response to a request for speech, as it begins."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    connection.request("POST", "/v1/audio/speech", json.dumps(body), {"content-type": "application/json"})
    response = connection.getresponse()
    assert response.status == 200, response.read()
    return response


def frames_and_steps(together):
    """What two requests to Qwen3-TTS give, and how many steps of its loop they took."""
    bodies = [{"model": "qwen", "input": TEXT, "voice": voice, "response_format": "pcm", "seed": seed, "max_tokens": 500}
              for voice, seed in (("vivian", 1), ("ryan", 2))]
    with serving("--model", f"qwen={CUSTOM}", "--preload", "qwen", env={"MLX_AUDIO_PROFILE": "1"}) as server:
        if together:
            start = threading.Barrier(2)

            def ask(body):
                start.wait()
                return post(server, body).read()
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                sounds = list(pool.map(ask, bodies))
        else:
            sounds = [post(server, body).read() for body in bodies]
    steps = int(re.search(r"qwen3_tts_frame +(\d+)", "".join(server.log))[1])
    return sounds, steps


def test_requests_to_qwen3_tts_share_one_step_loop():
    alone, steps_alone = frames_and_steps(together=False)
    frames = [len(sound) / 2 / 24000 / SECONDS_A_FRAME for sound in alone]
    assert min(frames) > 100, "the requests must be long enough to meet"
    assert steps_alone == pytest.approx(sum(frames), abs=2)  # and a step for an end
    both, steps = frames_and_steps(together=True)
    assert both == alone, "each gets what it gets alone"
    # Apart from what one makes before the other joins, and behind its end, a step is a frame of both.
    assert steps < 1.3 * max(frames), (frames, steps)


@pytest.fixture(scope="module")
def kokoro():
    with serving("--preload", "kokoro") as server:
        yield server


class LongSpeech:
    """A request of minutes of speech; notes when each chunk of it arrives."""

    def __init__(self, server):
        self.arrivals = []
        self.response = post(server, {"model": "kokoro", "input": (TEXT + " ") * 60, "voice": "af_heart",
                                      "response_format": "pcm", "stream_format": "sse"})
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        try:
            for line in self.response:
                if line.startswith(b"data:"):
                    self.arrivals.append(time.monotonic())
        except (OSError, ValueError, AttributeError, http.client.HTTPException):
            pass  # given up by the test

    def wait(self, chunks):
        end = time.time() + 60
        while len(self.arrivals) < chunks:
            assert time.time() < end
            time.sleep(0.01)

    def leave(self, server):
        self.response.close()
        end = time.time() + 30
        while json.loads(get(server.url + "/health"))["queue_depth"] and time.time() < end:
            time.sleep(0.05)


def test_a_short_request_is_heard_after_the_chunk_that_is_being_made(kokoro):
    long = LongSpeech(kokoro)
    long.wait(6)  # chunks are long by now
    for _ in range(3):
        asked = time.monotonic()
        short = post(kokoro, {"model": "kokoro", "input": "Hi there.", "voice": "af_heart", "response_format": "pcm"})
        assert short.read(100)
        heard = time.monotonic()
        short.read()
        # The one that was being made, and one that was on its way to us.
        assert sum(asked < at < heard for at in long.arrivals) <= 2
        long.wait(len(long.arrivals) + 1)
    long.leave(kokoro)


def test_equal_requests_take_turns_chunk_by_chunk(kokoro):
    first = LongSpeech(kokoro)
    first.wait(3)
    second = LongSpeech(kokoro)
    second.wait(8)
    first.leave(kokoro)
    second.leave(kokoro)
    order = [name for _, name in sorted([(at, "first") for at in first.arrivals] + [(at, "second") for at in second.arrivals])]
    shared = order[order.index("second"):][:14]
    # The newcomer's first chunks are short, so that it may have several for one.
    assert "first" in shared[:8], order
    rest = shared[6:]
    assert abs(rest.count("first") - rest.count("second")) <= 3, order
