// Writes the built page as a C++ table: node embed.mjs DIST HEADER
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { extname, join, relative } from "node:path";
import { gzipSync } from "node:zlib";

const types = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8",
  ".woff2": "font/woff2",
};

/** A C++ string literal; octal escapes end by themselves. */
function literal(bytes) {
  const lines = [];
  for (let at = 0; at < bytes.length; at += 1024) {
    let line = "";
    for (const byte of bytes.subarray(at, at + 1024)) {
      const plain = byte >= 32 && byte < 127 && byte !== 34 && byte !== 92 && byte !== 63;
      line += plain ? String.fromCharCode(byte) : `\\${byte.toString(8).padStart(3, "0")}`;
    }
    lines.push(`"${line}"`);
  }
  return lines.length > 0 ? lines.join("\n     ") : '""';
}

function view(bytes) {
  return `std::string_view(\n     ${literal(bytes)},\n     ${bytes.length})`;
}

const [dist, header] = process.argv.slice(2);
const rows = readdirSync(dist, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
  .sort()
  .map((file) => {
    const bytes = readFileSync(file);
    const type = types[extname(file)];
    if (!type) throw new Error(`no media type for ${file}`);
    const path = `/${relative(dist, file).replaceAll("\\", "/")}`.replace(/^\/index\.html$/, "/");
    const etag = createHash("sha256").update(bytes).digest("hex").slice(0, 16);
    const zipped = gzipSync(bytes, { level: 9 });
    const small = zipped.length < 0.9 * bytes.length ? zipped : Buffer.alloc(0);
    return `    {"${path}",\n     "${type}",\n     ${view(bytes)},\n     ${view(small)},\n     "\\"${etag}\\""},\n`;
  });
const text = `// Made by web/embed.mjs of the built page.\nconstexpr Asset page[] = {\n${rows.join("")}};\n`;
writeFileSync(header, text);
