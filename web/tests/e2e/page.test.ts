// The page as people use it: real Chromium, the built server, real models.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser, Download, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { expectAccessible, lit, open, phone, startBrowser, visit, type Visit } from "./browser";
import { build, makeEnhancer, scratchFolder, speechFile, startServer, type Server } from "./server";

const said = "The sun is warm today. We walk along the river.";
const folder = scratchFolder();
const recording = join(folder, "river.wav");
let server: Server;
let browser: Browser;

beforeAll(async () => {
  makeEnhancer(join(folder, "enhancer"));
  server = await startServer("--model", `enhancer=${join(folder, "enhancer")}`);
  writeFileSync(recording, await speechFile(server, said));
  browser = await startBrowser(recording);
});

afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

/** Opens the page, and expects of every test that nothing went wrong unseen. */
async function withPage(test: (v: Visit) => Promise<void>, options = {}): Promise<void> {
  const v = await visit(browser, server.url, options);
  try {
    await test(v);
    expect(v.complaints).toEqual([]);
    expect(v.foreign).toEqual([]);
  } catch (error) {
    await v.page.screenshot({ path: join(build, "web-failure.png") }).catch(() => undefined);
    throw error;
  } finally {
    await v.context.close();
  }
}

async function bytesOf(download: Promise<Download>): Promise<Buffer> {
  return readFileSync(await (await download).path());
}

const seconds = async (page: Page, name: RegExp) =>
  Number(await page.getByRole("slider", { name }).first().getAttribute("aria-valuenow"));

const bare = (text: string) => text.toLowerCase().replace(/[^a-z ]/g, "").replace(/ +/g, " ").trim();

async function write(page: Page, text: string): Promise<void> {
  await page.getByLabel("Text to speak").fill(text);
}

describe("speak", () => {
  it("plays without gaps while it is made, and lights each word in turn", () =>
    withPage(async ({ page }) => {
      await page.evaluate(() => {
        const starts: object[] = [];
        const start = AudioBufferSourceNode.prototype.start;
        AudioBufferSourceNode.prototype.start = function (when = 0, offset = 0) {
          starts.push({ when, end: when + this.buffer!.duration - offset });
          start.call(this, when, offset);
        };
        const lit: string[] = [];
        new MutationObserver((changes) => {
          for (const { target } of changes) {
            const word = target as HTMLElement;
            if (word.classList.contains("lit") && lit.at(-1) !== word.textContent) lit.push(word.textContent!);
          }
        }).observe(document.body, { subtree: true, attributeFilter: ["class"] });
        Object.assign(window, { starts, lit });
      });
      await page.getByRole("radio", { name: /^B?.*Bella/ }).check();
      await write(page, said);
      await page.getByRole("button", { name: "Speak", exact: true }).click();
      const card = page.locator(".take");
      await card.getByRole("button", { name: "Pause" }).waitFor();
      expect(await page.getByText("first sound after").isVisible()).toBe(true);
      // It ends by itself.
      await card.getByRole("button", { name: "Play", exact: true }).waitFor();
      const { starts, lit } = (await page.evaluate(() => {
        const { starts, lit } = window as unknown as Record<string, unknown>;
        return { starts, lit };
      })) as { starts: { when: number; end: number }[]; lit: string[] };
      expect(lit).toEqual(said.replace(/\./g, "").split(" "));
      expect(starts.length).toBeGreaterThan(1);
      for (let i = 1; i < starts.length; ++i) {
        const gap = starts[i]!.when - starts[i - 1]!.end;
        // Less than a sample, unless the audio came late.
        if (gap < 0.02) expect(Math.abs(gap)).toBeLessThan(1 / 24000);
      }
    }));

  it("seeks by key and by word, and is drawn both ways", () =>
    withPage(async ({ page }) => {
      await write(page, said);
      await page.getByLabel("Text to speak").press("Control+Enter");
      await page.locator(".take").getByRole("button", { name: "Pause" }).click();
      await page.getByRole("button", { name: "Speak", exact: true }).waitFor(); // all is there
      const slider = page.getByRole("slider", { name: "Position in the speech" });
      await slider.press("Home");
      await expect.poll(() => seconds(page, /speech/)).toBe(0);
      await slider.press("ArrowRight");
      await expect.poll(() => seconds(page, /speech/)).toBeCloseTo(2, 1);
      await page.locator(".reading span", { hasText: "river" }).click();
      await expect.poll(() => seconds(page, /speech/)).toBeGreaterThan(2.2);
      const painted = () =>
        slider.locator("canvas").evaluate((canvas: HTMLCanvasElement) => {
          const { data } = canvas.getContext("2d")!.getImageData(0, 0, canvas.width, canvas.height);
          return new Set(new Uint32Array(data.buffer)).size;
        });
      await expect.poll(painted).toBeGreaterThan(3);
      await page.getByRole("radio", { name: "Spectrum" }).check();
      await expect.poll(painted).toBeGreaterThan(100);
    }));

  it("downloads every format", () =>
    withPage(async ({ page }) => {
      await write(page, "A short line.");
      await page.getByRole("button", { name: "Speak", exact: true }).click();
      await page.locator(".take").waitFor();
      await page.getByRole("button", { name: "Speak", exact: true }).waitFor();
      const magic: Record<string, (b: Buffer) => boolean> = {
        wav: (b) => b.toString("latin1", 0, 4) === "RIFF",
        mp3: (b) => b.toString("latin1", 0, 3) === "ID3" || b[0] === 0xff,
        opus: (b) => b.toString("latin1", 0, 4) === "OggS" && b.includes("OpusHead"),
        aac: (b) => b[0] === 0xff && (b[1]! & 0xf0) === 0xf0,
        flac: (b) => b.toString("latin1", 0, 4) === "fLaC",
        pcm: (b) => b.length > 24000 && b.length % 2 === 0,
      };
      const sizes: Record<string, number> = {};
      for (const [format, fits] of Object.entries(magic)) {
        const download = page.waitForEvent("download");
        await page.getByRole("button", { name: `Download as ${format}` }).click();
        expect((await download).suggestedFilename()).toBe(`speech.${format}`);
        const bytes = await bytesOf(download);
        expect(fits(bytes), format).toBe(true);
        sizes[format] = bytes.length;
      }
      // The server made the very samples that the page had played.
      expect(sizes.pcm).toBe(sizes.wav! - 44);
    }));

  it("stops the work on the server too", () =>
    withPage(async ({ page }) => {
      await write(page, "This goes on for quite a while, sentence after sentence. ".repeat(40));
      await page.getByRole("button", { name: "Speak", exact: true }).click();
      await page.locator(".take").waitFor();
      await page.getByRole("button", { name: "Stop", exact: true }).click();
      await page.getByRole("button", { name: "Speak", exact: true }).waitFor();
      await expect
        .poll(async () => (await (await fetch(`${server.url}/health`)).json()).queue_depth, { timeout: 10_000 })
        .toBe(0);
    }));

  it("lets a voice be heard before it is chosen", () =>
    withPage(async ({ page }) => {
      await page.getByLabel("Find a voice").fill("british");
      expect(await page.locator(".voice").count()).toBeGreaterThan(3);
      await page.getByLabel("Find a voice").fill("emma");
      expect(await page.locator(".voice").count()).toBe(1);
      await page.evaluate(() => {
        const start = AudioBufferSourceNode.prototype.start;
        AudioBufferSourceNode.prototype.start = function (...given) {
          Object.assign(window, { heard: true });
          start.apply(this, given);
        };
      });
      await page.getByRole("button", { name: "Hear Emma" }).click();
      await page.waitForFunction(() => "heard" in window);
    }));
});

describe("transcribe", () => {
  it("takes several files, jumps by word, is edited and exported", () =>
    withPage(async ({ page }) => {
      await open(page, "Transcribe");
      const second = join(folder, "second.wav");
      writeFileSync(second, readFileSync(recording));
      await page.locator(".tiles input[type=file]").setInputFiles([recording, second]);
      await page.locator(".segment").first().waitFor();
      const text = (await page.locator(".segment-text").allTextContents()).join(" ");
      expect(bare(text)).toBe(bare(said));
      await page.getByRole("button", { name: /second\.wav/ }).first().getByText(", done").waitFor({ state: "attached" });

      // A word moves the audio to itself.
      await page.locator(".segment-text span", { hasText: "river" }).click();
      await expect.poll(() => seconds(page, /recording/)).toBeGreaterThan(2);
      await page.locator(".segment-text span", { hasText: "sun" }).click();
      await expect.poll(() => seconds(page, /recording/)).toBeLessThan(1.5);
      // Ctrl+Enter plays from there, and words light up.
      await page.keyboard.press("Control+Enter");
      await lit(page, ".segment-text", "warm");
      await page.locator(".recording").getByRole("button", { name: "Pause" }).click();

      const last = page.locator(".segment-text").last();
      const edited = (await last.textContent())!.replace("river", "Danube");
      await last.fill(edited);
      await last.press("Enter");
      await page.locator(".segment-text span", { hasText: "Danube" }).click();
      await expect.poll(() => seconds(page, /recording/)).toBeGreaterThan(2);

      const exported: Record<string, string> = {};
      for (const format of ["txt", "srt", "vtt", "json"]) {
        const download = page.waitForEvent("download");
        await page.getByRole("button", { name: `Export as ${format}` }).click();
        expect((await download).suggestedFilename()).toBe(`river.${format}`);
        exported[format] = (await bytesOf(download)).toString();
        expect(exported[format]).toContain("Danube");
      }
      expect(exported.srt).toMatch(/^1\n00:00:\d\d,\d{3} --> 00:00:\d\d,\d{3}\n/);
      expect(exported.vtt).toMatch(/^WEBVTT\n\n00:00:\d\d\.\d{3} --> /);
      const words = JSON.parse(exported.json!).segments.flatMap((s: { words: object[] }) => s.words);
      expect(words.length).toBe(10);
    }));

  it("captions what the microphone hears, and transcribes it when it stops", () =>
    withPage(async ({ page }) => {
      await open(page, "Transcribe");
      await page.getByRole("button", { name: "Record from the microphone" }).click();
      const captions = page.getByRole("log", { name: "Captions" });
      await captions.getByText(/river/i).first().waitFor({ timeout: 60_000 });
      await page.getByRole("button", { name: "Stop recording" }).click();
      await page.locator(".segment").first().waitFor({ timeout: 60_000 });
      expect(bare((await page.locator(".segment-text").allTextContents()).join(" "))).toContain("along the river");
      await page.locator(".segment-text span", { hasText: "river" }).first().click();
      await expect.poll(() => seconds(page, /recording/)).toBeGreaterThan(1);
    }));

  it("says what to do with a file that is no recording", () =>
    withPage(async ({ page }) => {
      await open(page, "Transcribe");
      const wrong = join(folder, "notes.wav");
      writeFileSync(wrong, "these are not samples");
      await page.locator(".tiles input[type=file]").setInputFiles([wrong]);
      await page.getByRole("alert").getByText("Use a recording as WAV").waitFor();
      await page.getByRole("alert").getByRole("button", { name: "Try again" }).waitFor();
    }));
});

describe("clean", () => {
  it("compares the mix with speech and noise, aligned, in mid-play", () =>
    withPage(async ({ page }) => {
      await open(page, "Clean");
      await page.locator(".drop-zone input").setInputFiles([recording]);
      await page.locator(".track").first().waitFor();
      await page.getByRole("button", { name: "Enhance", exact: true }).click();
      await page.getByRole("button", { name: "Noise", exact: true }).waitFor();
      const lengths = await page.getByRole("slider").evaluateAll((all) =>
        all.map((slider) => slider.getAttribute("aria-valuemax")),
      );
      expect(new Set(lengths).size).toBe(1);
      expect(lengths.length).toBe(3);
      await page.locator(".tracks").getByRole("button", { name: "Play" }).click();
      await page.keyboard.press("3");
      expect(await page.getByRole("button", { name: "Noise", exact: true }).getAttribute("aria-pressed")).toBe("true");
      await page.keyboard.press("1");
      expect(await page.getByRole("button", { name: "Mix", exact: true }).getAttribute("aria-pressed")).toBe("true");
      await expect.poll(() => seconds(page, /Mix/)).toBeGreaterThan(0.3);
      const download = page.waitForEvent("download");
      await page.getByRole("button", { name: "Download Speech" }).click();
      expect((await bytesOf(download)).toString("latin1", 0, 4)).toBe("RIFF");
    }));

  it("cleans what the microphone hears while it is recorded, and compares both", () =>
    withPage(async ({ page }) => {
      await open(page, "Clean");
      await page.getByLabel(/Hear it while recording/).check();
      await page.getByRole("button", { name: "Record from the microphone" }).click();
      await page.getByRole("status").getByText("Cleaning, 0.7 s behind").waitFor({ timeout: 60_000 });
      // It arrives, and sounds, while more is recorded.
      await expect.poll(() => seconds(page, /cleaned so far/), { timeout: 30_000 }).toBeGreaterThan(0.5);
      await expectAccessible(page, "Clean, live");
      await page.getByRole("button", { name: "Stop recording" }).click();
      await page.getByRole("button", { name: "Noise", exact: true }).waitFor();
      const lengths = await page.getByRole("slider").evaluateAll((all) =>
        all.map((slider) => Number(slider.getAttribute("aria-valuemax"))),
      );
      expect(new Set(lengths).size).toBe(1);
      expect(lengths[0]).toBeGreaterThan(1);
      const samples = async (track: string) => {
        const download = page.waitForEvent("download");
        await page.getByRole("button", { name: `Download ${track}` }).click();
        const wav = await bytesOf(download);
        return new Int16Array(wav.buffer, wav.byteOffset + 44, (wav.length - 44) >> 1);
      };
      const loudest = (all: Int16Array) => all.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
      expect(loudest(await samples("Mix"))).toBeGreaterThan(1000); // the microphone speaks
      expect(loudest(await samples("Speech"))).toBeGreaterThan(0);
      await page.getByRole("button", { name: "Record from the microphone" }).waitFor();
    }));

  it("says that the connection was lost, and keeps what was cleaned", () =>
    withPage(async ({ page }) => {
      await page.routeWebSocket("**/enhancements/realtime", (socket) => {
        socket.onMessage((message) => {
          if (typeof message === "string") {
            return socket.send(JSON.stringify({ type: "session.created", latency_seconds: 0.7 }));
          }
          socket.send(message);
          void socket.close({ code: 1001 });
        });
      });
      await page.reload();
      await open(page, "Clean");
      await page.getByRole("button", { name: "Record from the microphone" }).click();
      await page.getByRole("alert").getByText("The connection was lost.").waitFor();
      await page.getByRole("button", { name: "Speech", exact: true }).waitFor();
      await page.getByRole("button", { name: "Record from the microphone" }).waitFor();
    }));

  it("says plainly that there is no model to separate with", () =>
    withPage(async ({ page }) => {
      await open(page, "Clean");
      await page.getByRole("radio", { name: "Separate sounds" }).check();
      await page.getByText("This server has no separation model.").waitFor();
      await page.locator(".drop-zone input").setInputFiles([recording]);
      await page.locator(".track").waitFor();
      await page.getByRole("button", { name: "Separate", exact: true }).click();
      await page.getByRole("alert").getByRole("link", { name: "Models" }).waitFor();
    }));
});

describe("models", () => {
  it("are loaded and unloaded; one that nobody has is refused by name", () =>
    withPage(async ({ page }) => {
      await open(page, "Models");
      const button = (name: string) => page.getByRole("button", { name, exact: true });
      await button("Load enhancer").or(button("Unload enhancer")).waitFor();
      if (await button("Unload enhancer").isVisible()) await button("Unload enhancer").click();
      await button("Load enhancer").click();
      await button("Unload enhancer").click();
      await button("Load enhancer").waitFor();
      // To look at the page does not load a model again.
      await button("Unload kokoro").click();
      await button("Load kokoro").waitFor();
      await open(page, "Speak");
      await open(page, "Models");
      await button("Load kokoro").waitFor();
      await page.getByLabel("Name on the Hub").fill("nobody/nothing");
      await button("Pull").click();
      await page.getByRole("alert").waitFor();
    }));
});

describe("the stage", () => {
  it("moves with the sound in three dimensions", () =>
    withPage(async ({ page }) => {
      await open(page, "Stage");
      const canvas = page.locator(".stage canvas");
      await canvas.waitFor();
      await page.getByRole("button", { name: "Use the microphone" }).click();
      await page.getByText("Listening to the microphone").waitFor();
      const one = await canvas.screenshot();
      await page.waitForTimeout(400);
      expect((await canvas.screenshot()).equals(one)).toBe(false);
      expect(one.length).toBeGreaterThan(8_000); // not a plain colour
      await page.getByRole("button", { name: "Stop the microphone" }).click();
    }, { viewport: { width: 420, height: 560 } }));
});

describe("the browser's memory", () => {
  it("keeps what was made over a reload, and forgets it on demand", () =>
    withPage(async ({ page }) => {
      await write(page, "Remember this.");
      await page.getByRole("button", { name: "Speak", exact: true }).click();
      await page.locator(".take").waitFor();
      await page.getByRole("button", { name: "Speak", exact: true }).waitFor();
      await page.reload();
      await open(page, "History");
      await page.getByRole("button", { name: /^Remember this\./ }).click();
      await page.locator(".take").getByRole("button", { name: "Play", exact: true }).click();
      await page.locator(".reading .lit").waitFor();
      await open(page, "History");
      await page.getByRole("button", { name: "Delete all" }).click();
      await page.getByRole("button", { name: "Delete all" }).click();
      await page.getByText("Nothing yet.").waitFor();
      await page.reload();
      await page.getByText("Nothing yet.").waitFor();
    }));
});

describe("a server with a key", () => {
  it("asks for it, refuses a wrong one, and works with the right one", async () => {
    const locked = await startServer("--api-key", "open-sesame");
    const { page, context, complaints } = await visit(browser, locked.url);
    try {
      const dialog = page.getByRole("dialog", { name: "API key" });
      await dialog.getByLabel("Key").fill("wrong");
      await dialog.getByRole("button", { name: "Use key" }).click();
      await dialog.getByText("refused this key").waitFor();
      await dialog.getByLabel("Key").fill("open-sesame");
      await page.keyboard.press("Enter");
      await dialog.waitFor({ state: "hidden" });
      await open(page, "Models");
      await page.getByRole("button", { name: "Load kokoro", exact: true }).waitFor();
      expect(await context.cookies()).toEqual([]);
      expect(page.url()).not.toContain("sesame");
      expect(complaints).toEqual([]);
    } finally {
      await context.close();
      await locked.stop();
    }
  });
});

// Answers in the server's contract, for models whose weights are not at hand.
describe("models that are not installed here", () => {
  const model = (id: string, task: string, ...features: string[]) => ({
    id, task, features, loaded: true, architecture: id, size_bytes: 1e9, memory_bytes: 2e9,
  });
  const serveModels = (page: Page, ...data: object[]) =>
    page.route("**/v1/models", (route) => route.fulfill({ json: { object: "list", data } }));
  const events = (...list: object[]) => ({
    contentType: "text/event-stream",
    body: list.map((event) => `data: ${JSON.stringify(event)}\n\n`).join(""),
  });

  it("speak as they are told, with the voice of a recording", () =>
    withPage(async ({ page }) => {
      await serveModels(page, model("designer", "speech", "instructions", "reference", "languages"));
      let asked: Record<string, string> = {};
      await page.route("**/v1/audio/speech", async (route) => {
        asked = route.request().postDataJSON();
        const audio = Buffer.alloc(4800).toString("base64");
        await route.fulfill(events({ type: "speech.audio.delta", audio, words: [] }, { type: "speech.audio.done" }));
      });
      await page.reload();
      await page.getByLabel("How to speak").fill("Slowly");
      await page.getByRole("button", { name: "Record", exact: true }).click();
      await page.waitForTimeout(700);
      await page.getByRole("button", { name: /^Stop 0:0/ }).click();
      await page.getByLabel("What is said in it").fill("The sun");
      await write(page, "Hello.");
      await page.getByRole("button", { name: "Speak", exact: true }).click();
      await page.locator(".take").waitFor();
      expect(asked).toMatchObject({
        model: "designer", input: "Hello.", instructions: "Slowly", ref_text: "The sun",
        response_format: "pcm", stream_format: "sse", timestamps: true,
      });
      expect(asked).not.toHaveProperty("voice");
      const wav = Buffer.from(asked.ref_audio!.replace(/^data:audio\/wav;base64,/, ""), "base64");
      expect(wav.toString("latin1", 0, 4)).toBe("RIFF");
      expect(wav.length).toBeGreaterThan(24000);
      await expectAccessible(page, "Speak with a reference");
      // No model that could write the words: the timbre alone.
      await page.getByLabel("What is said in it").fill("");
      await page.getByRole("button", { name: "Speak", exact: true }).click();
      await expect.poll(() => asked.x_vector_only).toBe(true);
      expect(asked).not.toHaveProperty("ref_text");
    }));

  it("tell speakers apart, who get colours and names", () =>
    withPage(async ({ page }) => {
      await serveModels(page, model("listener", "transcription", "diarization"));
      await page.route("**/v1/audio/transcriptions", (route) => {
        expect(route.request().postDataBuffer()!.includes("diarized_json")).toBe(true);
        const line = (speaker: string, start: number, text: string) => ({ speaker, start, end: start + 1, text });
        return route.fulfill({
          json: {
            task: "transcribe", duration: 3, text: "",
            segments: [line("A", 0, "Hello."), line("B", 1, "Good day."), line("A", 2, "Bye.")],
          },
        });
      });
      await page.reload();
      await open(page, "Transcribe");
      await page.locator(".tiles input[type=file]").setInputFiles([recording]);
      const speakers = page.locator("input.speaker");
      await speakers.first().waitFor();
      const colors = await speakers.evaluateAll((all) => all.map((e) => getComputedStyle(e).backgroundColor));
      expect(colors[0]).toBe(colors[2]);
      expect(colors[0]).not.toBe(colors[1]);
      await speakers.first().fill("Ann");
      await speakers.first().press("Tab");
      const download = page.waitForEvent("download");
      await page.getByRole("button", { name: "Export as txt" }).click();
      expect((await bytesOf(download)).toString()).toBe("Ann: Hello.\nB: Good day.\nAnn: Bye.\n");
      await expectAccessible(page, "Transcribe with speakers");
    }));

  it("separate what is described from the rest", () =>
    withPage(async ({ page }) => {
      await serveModels(page, model("splitter", "separation"));
      await page.route("**/v1/audio/separations", (route) => {
        expect(route.request().postDataBuffer()!.includes("a dog barking")).toBe(true);
        const wav = readFileSync(recording).toString("base64");
        return route.fulfill({ json: { target: wav, residual: wav, sample_rate: 24000 } });
      });
      await page.reload();
      await open(page, "Clean");
      await page.getByRole("radio", { name: "Separate sounds" }).check();
      await page.getByLabel("Sound to take out").fill("a dog barking");
      await page.locator(".drop-zone input").setInputFiles([recording]);
      await page.locator(".track").waitFor();
      await page.getByRole("button", { name: "Separate", exact: true }).click();
      for (const name of ["Mix", "Target", "Residual"]) {
        await page.getByRole("button", { name, exact: true }).waitFor();
      }
    }));

  it("are pulled with progress", () =>
    withPage(async ({ page }) => {
      await page.route("**/v1/models/pull", (route) =>
        route.fulfill(events(
          { type: "model.pull.progress", file: "model.safetensors", received_bytes: 5e8, total_bytes: 1e9 },
          { type: "model.pull.done", id: "big/model", path: "" },
        )),
      );
      await open(page, "Models");
      await page.evaluate(() => {
        new MutationObserver(() => {
          const text = document.querySelector(".progress")?.textContent ?? "";
          if (text.includes("500 MB of 1.00 GB")) Object.assign(window, { progress: true });
        }).observe(document.body, { subtree: true, childList: true, characterData: true });
      });
      await page.getByLabel("Name on the Hub").fill("big/model");
      await page.getByRole("button", { name: "Pull", exact: true }).click();
      await page.getByRole("status").getByText("big/model is installed").waitFor();
      expect(await page.evaluate(() => "progress" in window)).toBe(true);
    }));
});

describe("errors", () => {
  const answer = (status: number, error: object, headers = {}) => ({
    status,
    headers,
    contentType: "application/json",
    body: JSON.stringify({ error: { type: "x", param: null, code: null, ...error } }),
  });

  it.each([
    ["a full queue", answer(429, { message: "The queue is full." }, { "retry-after": "7" }), "Try again in 7 s"],
    ["too long a text", answer(413, { message: "Too long." }), "Shorten the text"],
    ["a model that failed", answer(500, { message: "Out of memory." }, { "x-request-id": "r-77" }), "request r-77"],
    ["a wrong setting", answer(400, { message: "speed must be 0.25 to 4", param: "speed" }), "Change the marked setting"],
  ])("%s: says what to do, and can be tried again", (_, response, advice) =>
    withPage(async ({ page }) => {
      await page.route("**/v1/audio/speech", (route) => route.fulfill(response));
      await write(page, "Hello.");
      await page.getByRole("button", { name: "Speak", exact: true }).click();
      await page.getByRole("alert").getByText(advice).waitFor();
      await page.unroute("**/v1/audio/speech");
      await page.getByRole("alert").getByRole("button", { name: "Try again" }).click();
      await page.locator(".take").waitFor();
    }));

  it("a server that is gone: says so, and connects by itself when it is back", () =>
    withPage(async ({ page }) => {
      const look = () => page.evaluate(() => dispatchEvent(new Event("focus")));
      await page.route("**/health", (route) => route.abort());
      await look();
      await page.getByRole("alert").getByText("mlx-audio serve").waitFor();
      await page.unroute("**/health");
      await look();
      await page.getByRole("alert").waitFor({ state: "detached" });
    }));
});

describe("everyone", () => {
  const places = ["Speak", "Transcribe", "Clean", "Stage", "History", "Models"];

  it.each([
    ["light", { colorScheme: "light" }],
    ["dark", { colorScheme: "dark" }],
    ["on a phone", { viewport: phone, colorScheme: "light", hasTouch: true }],
  ])("can use every page: %s", (look, options) =>
    withPage(async ({ page }) => {
      await page.locator(".voice").first().waitFor();
      await write(page, "Hi.");
      await page.getByRole("button", { name: "Speak", exact: true }).click();
      await page.locator(".take").waitFor();
      await open(page, "Transcribe");
      await page.locator(".tiles input[type=file]").setInputFiles([recording]);
      await page.locator(".segment").first().waitFor();
      for (const place of places) {
        await open(page, place);
        await page.getByRole("heading", { level: 1 }).waitFor();
        await expectAccessible(page, `${place}, ${look}`);
      }
    }, options));

  it("can go without a mouse", () =>
    withPage(async ({ page }) => {
      await page.locator(".voice").first().waitFor();
      await page.keyboard.press("Tab");
      expect(await page.evaluate(() => document.activeElement?.textContent)).toBe("Skip to content");
      await page.keyboard.press("Enter");
      await page.keyboard.press("Tab");
      expect(await page.evaluate(() => document.activeElement?.id)).toBe("draft");
      await page.keyboard.press("Control+A");
      await page.keyboard.type("Typed by hand.");
      await page.keyboard.press("Control+Enter");
      await page.locator(".take").waitFor();
      // On to the voices, of which arrows choose one.
      await page.getByRole("radio", { name: /Heart/ }).focus();
      await page.keyboard.press("ArrowDown");
      expect(await page.getByRole("radio", { name: /Heart/ }).isChecked()).toBe(false);
      expect(await page.locator(".voice input:checked").count()).toBe(1);
    }));

  it("can choose the colours", () =>
    withPage(async ({ page }) => {
      const paper = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
      const system = await paper();
      await page.getByRole("button", { name: /change to light/ }).click();
      await page.getByRole("button", { name: /change to dark/ }).click();
      expect(await paper()).not.toBe(system);
      const wave = () => page.evaluate(() => getComputedStyle(document.body).getPropertyValue("--wave"));
      expect(await wave()).toBe("rgb(255, 138, 79)"); // a canvas takes no light-dark()
      await page.reload();
      expect(await paper()).not.toBe(system);
    }, { colorScheme: "light" }));
});
