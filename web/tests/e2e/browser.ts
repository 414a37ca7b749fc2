// Chromium, driven by Playwright, with a microphone that plays a file.
import AxeBuilder from "axe-core";
import { chromium, type Browser, type BrowserContext, type Page } from "playwright-core";
import { expect } from "vitest";

const program = process.env.CHROMIUM ?? "/usr/bin/chromium";

export function startBrowser(microphone: string): Promise<Browser> {
  return chromium.launch({
    executablePath: program,
    args: [
      "--no-sandbox", // the tests may run as root
      "--disable-gpu",
      "--enable-unsafe-swiftshader", // WebGL without a graphics card
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--use-fake-ui-for-media-stream",
      "--use-fake-device-for-media-stream",
      `--use-file-for-fake-audio-capture=${microphone}`,
    ],
  });
}

export interface Visit {
  page: Page;
  context: BrowserContext;
  /** What the browser complained about. */
  complaints: string[];
  /** Addresses beyond the server that were asked for. */
  foreign: string[];
}

export const phone = { width: 360, height: 740 };

export async function visit(
  browser: Browser,
  url: string,
  options: Parameters<Browser["newContext"]>[0] = {},
): Promise<Visit> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, ...options });
  context.setDefaultTimeout(30_000);
  const page = await context.newPage();
  const complaints: string[] = [];
  const foreign: string[] = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    // A status that the page handles is not a defect of the page.
    const text = message.text();
    if (message.type() === "error" && !text.startsWith("Failed to load resource")) complaints.push(text);
  });
  page.on("request", (request) => {
    const asked = request.url();
    if (!asked.startsWith(url) && !/^(data|blob):/.test(asked)) foreign.push(asked);
  });
  await page.goto(url);
  await page.getByRole("navigation").waitFor();
  return { page, context, complaints, foreign };
}

export async function open(page: Page, name: string): Promise<void> {
  await page.getByRole("navigation").getByRole("link", { name }).click();
}

/** No rule of axe is broken, and nothing is wider than the window. */
export async function expectAccessible(page: Page, where: string): Promise<void> {
  // As a script of the page's own world, which its policy does not bind.
  await page.evaluate(AxeBuilder.source);
  const broken = await page.evaluate(async () => {
    const { axe } = window as unknown as { axe: typeof AxeBuilder };
    const result = await axe.run(document, {
      runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    });
    return result.violations.map(
      (rule) => `${rule.id}: ${rule.nodes.map((node) => node.target.join(" ")).join(" | ")}`,
    );
  });
  expect(broken, where).toEqual([]);
  const beyond = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  expect(beyond, `${where}: wider than the window`).toBeLessThanOrEqual(0);
}

/** Waits for the frame in which a word is lit, which may be few. */
export async function lit(page: Page, scope: string, word: string): Promise<void> {
  await page.waitForFunction(
    ([scope, word]) =>
      [...document.querySelectorAll(`${scope} .lit`)].some((e) => e.textContent === word),
    [scope, word] as const,
    { polling: "raf", timeout: 60_000 },
  );
}
