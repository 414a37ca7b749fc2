// Where players are, by an audio context whose clock the test moves.
import { beforeEach, describe, expect, it, vi } from "vitest";
import { StreamPlayer } from "../../src/audio/stream-player";
import { TracksPlayer } from "../../src/audio/tracks-player";

const rate = 1000;
let started: Source[] = [];
let now = 0;
const latency = 0.01;

class Source {
  buffer: { length: number } | null = null;
  onended: (() => void) | null = null;
  at = 0;
  offset = 0;
  connect() {}
  stop() {}
  start(at: number, offset: number) {
    [this.at, this.offset] = [at, offset];
    started.push(this);
  }
}

const node = () => ({ connect: (to: unknown) => to, disconnect() {}, gain: { setTargetAtTime() {} } });

class Context {
  destination = {};
  outputLatency = latency;
  get currentTime() {
    return now;
  }
  async resume() {}
  createGain = node;
  createAnalyser = node;
  createBufferSource = () => new Source();
  createBuffer = (_channels: number, length: number) => ({ length, copyToChannel() {} });
}
vi.stubGlobal("AudioContext", Context);

const silence = (seconds: number) => new Float32Array(seconds * rate);

describe.each([
  ["a stream", () => StreamPlayer.of(silence(4), rate)],
  ["tracks", () => new TracksPlayer([silence(4), silence(3)], rate)],
])("the position of %s", (_name, make) => {
  beforeEach(() => {
    started = [];
    now = 10;
  });

  it("follows the sound, rests in a pause and goes on from there", () => {
    const player = make();
    expect(player.duration.value).toBe(4);
    player.play();
    now += 1 + 0.03 + latency;
    expect(player.time()).toBeCloseTo(1, 6); // as heard
    player.pause();
    now += 5;
    expect(player.time()).toBeCloseTo(1, 6);
    started = [];
    player.play();
    expect(started[0]!.offset).toBeCloseTo(1, 6);
    expect(started[0]!.at).toBeCloseTo(now + 0.03, 3);
  });

  it("jumps, within what there is, and plays on only if it played", () => {
    const player = make();
    player.seek(99);
    expect(player.time()).toBe(4);
    player.seek(-1);
    expect(player.time()).toBe(0);
    expect(started).toEqual([]);
    player.play();
    started = [];
    player.seek(2.5);
    expect(player.playing.value).toBe(true);
    expect(started[0]!.offset).toBeCloseTo(2.5, 6);
  });

  it("ends at the end and begins anew", () => {
    const player = make();
    player.play();
    started[0]!.onended!();
    expect([player.playing.value, player.time()]).toEqual([false, 4]);
    started = [];
    player.play();
    expect(started[0]!.offset).toBe(0);
  });
});

it("a stream that still arrives waits at its end for more", () => {
  started = [];
  const player = new StreamPlayer(rate);
  player.append(silence(1));
  player.seek(1);
  player.play();
  expect(started).toEqual([]);
  player.append(silence(1));
  expect(started[0]!.offset).toBe(0);
  expect(player.stalls.value).toBe(0);
});
