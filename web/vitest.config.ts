import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    fileParallelism: false,
    projects: [
      { test: { name: "unit", include: ["tests/unit/*.test.ts"] } },
      {
        test: {
          name: "e2e",
          include: ["tests/e2e/openai.test.ts", "tests/e2e/page.test.ts"],
          testTimeout: 150_000,
          hookTimeout: 90_000,
        },
      },
      // Makes the pictures of docs/web.md anew.
      { test: { name: "pictures", include: ["tests/e2e/pictures.test.ts"], testTimeout: 180_000 } },
    ],
  },
});
