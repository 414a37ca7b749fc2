// Makes the pictures of docs/web.md: npm run pictures
import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Page } from "playwright-core";
import { it } from "vitest";
import { lit, open, phone, startBrowser, visit } from "./browser";
import { makeEnhancer, scratchFolder, speechFile, startServer } from "./server";

const target = resolve(import.meta.dirname, "../../../docs/images");
const text =
  "The lighthouse keeper climbed the last of the stairs. Below him the sea lay flat and silver, " +
  "and far out a single sail turned slowly into the wind.";

it("pictures", async () => {
  mkdirSync(target, { recursive: true });
  const folder = scratchFolder();
  makeEnhancer(join(folder, "enhancer"));
  const server = await startServer("--model", `enhancer=${join(folder, "enhancer")}`);
  const recording = join(folder, "lighthouse.wav");
  writeFileSync(recording, await speechFile(server, text));
  const browser = await startBrowser(recording);
  const shoot = (page: Page, name: string) => page.screenshot({ path: join(target, `web-${name}.png`) });

  const speak = async (page: Page) => {
    await page.locator(".voice").first().waitFor();
    await page.getByRole("radio", { name: /^Heart/ }).check();
    await page.getByLabel("Text to speak").fill(text);
    await page.getByRole("button", { name: "Speak", exact: true }).click();
    await lit(page, ".reading", "flat");
  };
  const transcribe = async (page: Page) => {
    await open(page, "Transcribe");
    await page.locator(".tiles input[type=file]").setInputFiles([recording]);
    await page.locator(".segment").first().waitFor({ timeout: 60_000 });
    await page.locator(".recording").getByRole("button", { name: "Play", exact: true }).click();
    await lit(page, ".segment-text", "climbed");
  };

  for (const colorScheme of ["light", "dark"] as const) {
    const { page, context } = await visit(browser, server.url, { colorScheme });
    await speak(page);
    await shoot(page, `speak-${colorScheme}`);
    if (colorScheme === "dark") {
      await open(page, "Stage");
      await page.setViewportSize({ width: 800, height: 560 });
      await page.waitForTimeout(2500);
      await shoot(page, "stage");
      await page.setViewportSize({ width: 1280, height: 860 });
      await transcribe(page);
      await shoot(page, "transcribe");
    } else {
      await open(page, "Clean");
      await page.locator(".drop-zone input").setInputFiles([recording]);
      await page.locator(".track").waitFor();
      await page.getByRole("button", { name: "Enhance", exact: true }).click();
      await page.getByRole("button", { name: "Noise", exact: true }).waitFor();
      await shoot(page, "clean");
      await open(page, "Models");
      await shoot(page, "models");
    }
    await context.close();
  }
  const { page, context } = await visit(browser, server.url, { viewport: phone });
  await speak(page);
  await shoot(page, "phone");
  await context.close();
  await browser.close();
  await server.stop();
});
