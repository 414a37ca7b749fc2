#!/usr/bin/env python3
"""What batching sentences could gain with Kokoro: eight sentences one by one, and in one pass of the network.

    batching.py [--repeat 5]

One pass over all eight does about what a batch of them would do at best: each layer sees all frames at once, and nothing is padded.
Times are the server's own (compute_ms of its log), the best of each, and the profile of the whole run.
"""
import argparse
import http.client
import json
import os
import re
import subprocess
import tempfile
import time

from load import PORT, PROGRAM, SENTENCES


def speak(connection, text):
    body = json.dumps({"model": "kokoro", "input": text, "voice": "af_heart", "response_format": "wav", "stream": False,
                       "seed": 1})
    connection.request("POST", "/v1/audio/speech", body, {"content-type": "application/json"})
    response = connection.getresponse()
    assert response.status == 200, response.read()
    response.read()


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--repeat", type=int, default=5)
    repeat = arguments.parse_args().repeat
    texts = [*SENTENCES, " ".join(SENTENCES)]
    with tempfile.NamedTemporaryFile("w+", encoding="utf-8") as log:
        process = subprocess.Popen([PROGRAM, "serve", "--port", str(PORT), "--preload", "kokoro"], stdout=subprocess.PIPE,
                                   stderr=log, env={**os.environ, "MLX_AUDIO_PROFILE": "1"})
        try:
            process.stdout.readline()
            time.sleep(3)  # the model loads
            connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
            for _ in range(repeat + 1):
                for text in texts:
                    speak(connection, text)
        finally:
            process.terminate()
            process.wait()
        log.seek(0)
        lines = log.read()
    runs = [(float(m[2]), float(m[1])) for m in re.finditer(r'compute_ms=([\d.]+).*?audio_ms=([\d.]+)', lines)][len(texts):]
    best = [min(runs[i::len(texts)], key=lambda run: run[1]) for i in range(len(texts))]
    audio, compute = (sum(run[i] for run in best[:-1]) for i in (0, 1))
    print(f"one by one: {audio / 1e3:.2f} s of audio in {compute / 1e3:.2f} s, {compute / audio:.4f} of real time")
    print(f"in one pass: {best[-1][0] / 1e3:.2f} s of audio in {best[-1][1] / 1e3:.2f} s, "
          f"{best[-1][1] / best[-1][0]:.4f} of real time")
    print(lines[lines.index("\nop "):].strip())


if __name__ == "__main__":
    main()
