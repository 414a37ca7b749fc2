import { readFileSync, readdirSync } from "node:fs";
import { defineConfig, type Plugin } from "vite";

const packages = ["preact", "@preact/signals", "@preact/signals-core", "@fontsource-variable/instrument-sans"];

/** Ships the licences of what the page is made with as /licenses.txt. */
function licenses(): Plugin {
  return {
    name: "licenses",
    apply: "build",
    generateBundle() {
      const source = packages
        .map((name) => {
          const folder = new URL(`./node_modules/${name}/`, import.meta.url);
          const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
          if (!file) throw new Error(`no licence file in ${name}`);
          return `${name}\n\n${readFileSync(new URL(file, folder), "utf8").trim()}\n`;
        })
        .join(`\n${"-".repeat(78)}\n\n`);
      this.emitFile({ type: "asset", fileName: "licenses.txt", source });
    },
  };
}

// MLX_AUDIO_SERVER: where `npm run dev` finds the server.
const server = process.env.MLX_AUDIO_SERVER ?? "http://127.0.0.1:8000";

export default defineConfig({
  plugins: [licenses()],
  build: {
    target: "es2022",
    // Nothing is inlined: the page lives under a strict content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: {
      "/v1": { target: server, ws: true, changeOrigin: true },
      "/health": { target: server, changeOrigin: true },
      "/docs": { target: server, changeOrigin: true },
    },
  },
});
