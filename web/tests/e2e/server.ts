// The built server, as a user starts it.
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dirname ?? ".", "../../..");
/** Of the program under test. */
export const build = process.env.MLX_AUDIO_BUILD ?? join(root, "build/release");

export interface Server {
  url: string;
  stop(): Promise<void>;
}

export function startServer(...options: string[]): Promise<Server> {
  const child: ChildProcess = spawn(
    join(build, "bin/mlx-audio"),
    ["serve", "--port", "0", "--log-level", "warning", ...options],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  return new Promise((done, failed) => {
    let said = "";
    child.on("exit", (code) => failed(new Error(`the server ended with ${code}: ${said}`)));
    child.stdout!.on("data", (data: Buffer) => {
      said += data;
      const url = /http:\/\/[\d.]+:\d+/.exec(said)?.[0];
      if (!url) return;
      const stop = () =>
        new Promise<void>((stopped) => {
          if (child.exitCode !== null || child.signalCode !== null) return stopped();
          child.once("exit", () => stopped());
          child.kill("SIGTERM");
          setTimeout(() => child.kill("SIGKILL"), 3000).unref();
        });
      done({ url, stop });
    });
  });
}

/** A folder that is gone when the tests are. */
export function scratchFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "mlx-audio-web-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A MossFormer2 of random weights: its output is noise of the right length. */
export function makeEnhancer(folder: string): void {
  const program =
    "import sys; sys.path.insert(0, 'bench'); import mossformer2, pathlib; " +
    "mossformer2.save(pathlib.Path(sys.argv[1]), mossformer2.make_tensors(dim=32, blocks=2, seed=0))";
  execFileSync(join(root, ".venv/bin/python"), ["-c", program, folder], { cwd: root });
}

/** Speech of Kokoro, as a WAV file. */
export async function speechFile(server: Server, input: string): Promise<Buffer> {
  const response = await fetch(`${server.url}/v1/audio/speech`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "kokoro", input, voice: "af_heart", response_format: "wav" }),
  });
  if (!response.ok) throw new Error(`speech: ${response.status} ${await response.text()}`);
  return Buffer.from(await response.arrayBuffer());
}
