#!/usr/bin/env python3
"""What the server adds: the first byte of streamed speech beside the library's first chunk, and a short transcription's time
beyond its computing, on loopback.

    overhead.py [--repeat 12]

The library's figures are the program's own: `tts --stream --json` (first_audio_seconds of the same text, the best of three
processes) and the server's log (compute_ms of each request).
"""
import argparse
import http.client
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time

from load import PROGRAM, PORT, transcription_request

TEXT = "The weather was warm and sunny, so we walked along the river until we reached the old mill. Nobody knows what happened."


def first_byte(connection):
    body = json.dumps({"model": "kokoro", "input": TEXT, "response_format": "pcm"})
    start = time.perf_counter()
    connection.request("POST", "/v1/audio/speech", body, {"content-type": "application/json"})
    response = connection.getresponse()
    response.read(1)
    first = time.perf_counter() - start
    response.read()
    return first


def library():
    """Seconds to the first chunk, in a process of its own."""
    done = subprocess.run([PROGRAM, "tts", TEXT, "--stream", "--quiet", "--json", "--format", "pcm", "-o", "/dev/null"],
                          capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])["first_audio_seconds"]


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--repeat", type=int, default=12)
    repeat = arguments.parse_args().repeat
    alone = min(library() for _ in range(3))
    with tempfile.NamedTemporaryFile("w+", encoding="utf-8") as log:
        process = subprocess.Popen([PROGRAM, "serve", "--port", str(PORT), "--preload", "kokoro,whisper-tiny.en"],
                                   stdout=subprocess.DEVNULL, stderr=log)
        try:
            time.sleep(3)  # both models load
            connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
            firsts = [first_byte(connection) for _ in range(repeat)][1:]
            path, body, kind = transcription_request(0)
            took = []
            for _ in range(repeat):
                start = time.perf_counter()
                connection.request("POST", path, body, {"content-type": kind})
                connection.getresponse().read()
                took.append(1e3 * (time.perf_counter() - start))
        finally:
            process.terminate()
            process.wait()
        log.seek(0)
        computed = [float(x) for x in re.findall(r"transcriptions.*compute_ms=([0-9.]+)", log.read())]
    if len(computed) != repeat:
        sys.exit("the server's log has no compute_ms for each transcription")
    over = statistics.median(t - c for t, c in zip(took, computed))
    print(f"first audio: library {1e3 * alone:.0f} ms, server's first byte {1e3 * statistics.median(firsts):.0f} ms (median)")
    print(f"transcription of 7 s: {statistics.median(took):.0f} ms, of it computing {statistics.median(computed):.0f} ms, "
          f"the rest {over:.1f} ms (medians)")


if __name__ == "__main__":
    main()
