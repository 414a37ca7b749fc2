#!/usr/bin/env python3
"""Requests per second and latency of ours and of the peers, at 1, 4 and 16 clients, on loopback.

    load.py speech|transcription [--clients 1,4,16] [--requests 12] [--only ours|peer]

Each server runs alone, is warmed by one request, and gets `requests` requests at each number of clients (at least two a
client). Speech: sentences of a second or two, whole WAV files. Transcription: tests/data/audio/speech_16k.wav (7 s), greedy.
"""
import argparse
import http.client
import json
import os
import pathlib
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = ROOT / "build" / "release" / "bin" / "mlx-audio"
SENTENCES = ["The train leaves at noon.", "Please call me back tomorrow.", "It rained all day in the hills.",
             "Nobody knew where the key was.", "Bread and salt are on the table.", "She sings better than I do.",
             "We walked home along the river.", "The answer is on page seven."]
PORT = 8123


def speech_request(number):
    body = json.dumps({"model": "kokoro", "input": SENTENCES[number % len(SENTENCES)], "voice": "af_heart",
                       "response_format": "wav", "stream": False}).encode()
    return "/v1/audio/speech", body, "application/json"


def transcription_request(number):
    sound = (ROOT / "tests" / "data" / "audio" / "speech_16k.wav").read_bytes()
    mark = "boundary7d1b"
    head = (f'--{mark}\r\ncontent-disposition: form-data; name="model"\r\n\r\nwhisper-tiny.en\r\n'
            f'--{mark}\r\ncontent-disposition: form-data; name="language"\r\n\r\nen\r\n'
            f'--{mark}\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\ncontent-type: audio/wav\r\n\r\n')
    return "/v1/audio/transcriptions", head.encode() + sound + f"\r\n--{mark}--\r\n".encode(), f"multipart/form-data; boundary={mark}"


def ask(connection, request):
    path, body, kind = request
    start = time.perf_counter()
    connection.request("POST", path, body, {"content-type": kind})
    response = connection.getresponse()
    data = response.read()
    assert response.status == 200, (response.status, data[:300])
    return time.perf_counter() - start, data


def wait_ready(process, request):
    """Answers once one request has gone through: everything is loaded and warm."""
    end = time.time() + 120
    while time.time() < end:
        assert process.poll() is None, "the server has ended"
        try:
            return ask(http.client.HTTPConnection("127.0.0.1", PORT, timeout=120), request)
        except ConnectionError:
            time.sleep(0.1)
    raise TimeoutError("the server does not come up")


def measure(clients, total, make):
    """Latencies of all requests in seconds, and the time of the whole."""
    times, failures, number, lock = [], [], [0], threading.Lock()

    def client():
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=300)
        while True:
            with lock:
                mine = number[0]
                number[0] += 1
            if mine >= total:
                return
            try:
                times.append(ask(connection, make(mine))[0])
            except (OSError, AssertionError, http.client.HTTPException) as error:
                failures.append(error)
                return

    threads = [threading.Thread(target=client) for _ in range(clients)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[:3]
    return sorted(times), time.perf_counter() - start


def percentile(times, share):
    return times[min(len(times) - 1, int(share * len(times)))]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["speech", "transcription"])
    parser.add_argument("--clients", default="1,4,16")
    parser.add_argument("--requests", type=int, default=12)
    parser.add_argument("--only", choices=["ours", "peer"])
    arguments = parser.parse_args()
    make = speech_request if arguments.kind == "speech" else transcription_request
    ours = [str(PROGRAM), "serve", "--port", str(PORT), "--log-level", "off"]
    peer = [sys.executable, str(HERE / "peers.py"), arguments.kind, "--port", str(PORT)]
    servers = {"ours": ours, "peer": peer}
    print(f"{'server':8} {'clients':>7} {'requests':>8} {'req/s':>7} {'p50 s':>7} {'p95 s':>7} {'p99 s':>7} {'MB':>6}")
    for name, command in servers.items():
        if arguments.only not in (None, name):
            continue
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            wait_ready(process, make(0))
            for clients in map(int, arguments.clients.split(",")):
                times, wall = measure(clients, max(arguments.requests, 2 * clients), make)
                pages = int(open(f"/proc/{process.pid}/statm").read().split()[1])
                print(f"{name:8} {clients:7} {len(times):8} {len(times) / wall:7.2f} {percentile(times, .5):7.2f} "
                      f"{percentile(times, .95):7.2f} {percentile(times, .99):7.2f} {pages * os.sysconf('SC_PAGESIZE') / 1e6:6.0f}",
                      flush=True)
        finally:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    main()
