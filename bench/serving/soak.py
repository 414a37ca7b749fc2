#!/usr/bin/env python3
"""Many clients for minutes: no error, no stuck request, memory flat, fair order.

    soak.py [--seconds 300] [--speech 32] [--streams 8] [--idle 1000]

Speech clients ask for one sentence after another as PCM and read it as it comes; streams send
tests/data/audio/speech_16k.wav over /v1/realtime at the speed of speech, again and again. Exit 1 if anything failed.
"""
import argparse
import asyncio
import base64
import json
import os
import pathlib
import subprocess
import sys
import time

import websockets

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "build" / "release" / "bin" / "mlx-audio"
SENTENCES = ["The train leaves at noon.", "Please call me back tomorrow.", "It rained all day in the hills.",
             "Nobody knew where the key was.", "Bread and salt are on the table.", "She sings better than I do."]
STUCK = 120  # seconds without an answer


class Soak:
    def __init__(self, port, process, seconds):
        self.port, self.process, self.end = port, process, time.monotonic() + seconds
        self.errors, self.speech, self.first, self.texts, self.lags = [], {}, [], {}, []
        self.memory = []

    def resident(self):
        with open(f"/proc/{self.process.pid}/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6

    async def one_speech(self, number):
        body = json.dumps({"model": "kokoro", "input": SENTENCES[number % len(SENTENCES)], "response_format": "pcm"}).encode()
        start = time.monotonic()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(b"POST /v1/audio/speech HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n"
                         b"content-length: %d\r\n\r\n" % len(body) + body)
            status = await reader.readline()
            assert b" 200 " in status, status
            await reader.readuntil(b"\r\n\r\n")
            size = len(await reader.read(1))
            self.first.append(time.monotonic() - start)
            while data := await reader.read(1 << 16):
                size += len(data)
                tail = data
            assert tail.endswith(b"0\r\n\r\n") and size > 24000, (size, tail[-10:])
        finally:
            writer.close()
        return time.monotonic() - start

    async def speaker(self, number):
        times = self.speech[number] = []
        while time.monotonic() < self.end:
            try:
                times.append(await asyncio.wait_for(self.one_speech(number + len(times)), STUCK))
            except Exception as error:  # all are counted
                self.errors.append(f"speech {number}: {error!r}")
                await asyncio.sleep(1)

    async def stream(self, number, sound):
        texts = self.texts[number] = []
        sent = {}

        async def listen(socket):
            async for message in socket:
                event = json.loads(message)
                if event["type"] == "error" or event["type"].endswith("failed"):
                    self.errors.append(f"stream {number}: {event}")
                elif event["type"] == "input_audio_buffer.speech_stopped":
                    sent[event["item_id"]] = event["audio_end_ms"]
                elif event["type"].endswith("transcription.completed"):
                    texts.append(event["transcript"])
                    heard = started + sent[event["item_id"]] / 1000
                    self.lags.append(time.monotonic() - heard)

        try:
            async with websockets.connect(f"ws://127.0.0.1:{self.port}/v1/realtime?intent=transcription&model=whisper-tiny.en",
                                          open_timeout=STUCK) as socket:
                started = time.monotonic()
                listener = asyncio.create_task(listen(socket))
                count = 0
                while time.monotonic() < self.end:
                    at = count * 4800 % len(sound)
                    await asyncio.sleep(max(0, started + 0.1 * count - time.monotonic()))
                    await socket.send(json.dumps({"type": "input_audio_buffer.append",
                                                  "audio": base64.b64encode(sound[at:at + 4800]).decode()}))
                    count += 1
                await asyncio.sleep(10)
                listener.cancel()
        except Exception as error:
            self.errors.append(f"stream {number}: {error!r}")
        if not texts:
            self.errors.append(f"stream {number}: no transcript")

    async def watch(self):
        while time.monotonic() < self.end:
            self.memory.append((time.monotonic(), self.resident()))
            await asyncio.sleep(1)


def speech_24k():
    done = subprocess.run(["ffmpeg", "-v", "error", "-i", ROOT / "tests/data/audio/speech_16k.wav", "-af", "apad=pad_dur=1.5",
                           "-ar", "24000", "-ac", "1", "-f", "s16le", "-"], capture_output=True, check=True).stdout
    return done[:len(done) // 4800 * 4800]


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))] if values else float("nan")


async def idle_cost(soak, count):
    """Megabytes that `count` idle sessions take."""
    before = soak.resident()
    sockets = []
    for _ in range(0, count, 50):
        sockets += await asyncio.gather(*[websockets.connect(f"ws://127.0.0.1:{soak.port}/v1/realtime", open_timeout=60)
                                          for _ in range(50)])
    for socket in sockets:
        await socket.recv()
    used = soak.resident() - before
    await asyncio.gather(*[socket.close() for socket in sockets])
    return used


async def run(arguments, process, port):
    soak = Soak(port, process, arguments.seconds)
    print(f"{arguments.idle} idle WebSockets: {await idle_cost(soak, arguments.idle):.1f} MB", flush=True)
    sound = speech_24k()
    soak.end = time.monotonic() + arguments.seconds
    begin = time.monotonic()
    await asyncio.gather(soak.watch(), *[soak.speaker(i) for i in range(arguments.speech)],
                         *[soak.stream(i, sound) for i in range(arguments.streams)])
    every = [t for times in soak.speech.values() for t in times]
    counts = [len(times) for times in soak.speech.values()]
    settled = [m for t, m in soak.memory if t - begin > min(60, arguments.seconds / 2)]
    print(f"{len(every)} speech requests by {arguments.speech} clients in {arguments.seconds} s: each client {min(counts)} to {max(counts)}; "
          f"p50 {percentile(every, .5):.1f} s, p95 {percentile(every, .95):.1f} s, p99 {percentile(every, .99):.1f} s; "
          f"first audio p50 {percentile(soak.first, .5):.1f} s, p95 {percentile(soak.first, .95):.1f} s")
    texts = [len(t) for t in soak.texts.values()]
    print(f"{sum(texts)} transcripts of {arguments.streams} streams: each {min(texts)} to {max(texts)}; text after the end of a turn: "
          f"p50 {percentile(soak.lags, .5):.1f} s, p95 {percentile(soak.lags, .95):.1f} s")
    middle = percentile(settled, .5)
    print(f"memory after the first minute: {min(settled):.0f} to {max(settled):.0f} MB, median {middle:.0f} MB "
          f"({100 * (min(settled) / middle - 1):+.1f} % to {100 * (max(settled) / middle - 1):+.1f} %)")
    print(f"errors: {len(soak.errors)}")
    for error in soak.errors[:10]:
        print(" ", error)
    return bool(soak.errors)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--speech", type=int, default=32)
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument("--idle", type=int, default=1000)
    arguments = parser.parse_args()
    process = subprocess.Popen([str(PROGRAM), "serve", "--port", "0", "--log-level", "warning", "--preload", "kokoro,whisper-tiny.en"],
                               stdout=subprocess.PIPE, text=True)
    try:
        port = int(process.stdout.readline().rsplit(":", 1)[1])
        time.sleep(3)
        failed = asyncio.run(run(arguments, process, port))
    finally:
        process.terminate()
        process.wait()
    sys.exit(failed)


if __name__ == "__main__":
    main()
