// Builds the pages into ../static: hashed names, one manifest, nothing from elsewhere at run time.
import { createHash } from "node:crypto";
import { copyFile, mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { writeTypes } from "./api.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2] ?? join(here, "..", "static");
const assets = join(out, "assets");

const hash = (content) => createHash("sha256").update(content).digest("hex").slice(0, 8);

await writeTypes();
await rm(assets, { recursive: true, force: true });
await mkdir(assets, { recursive: true });

// The map's worker is a file of its own: a policy that allows no script but the page's own lets it in.
const worker = await readFile(join(here, "node_modules/maplibre-gl/dist/maplibre-gl-worker.mjs"), "utf8");
const plain = worker.replace(/\n\/\/# sourceMappingURL=.*\s*$/, "\n");
const workerName = `map-worker-${hash(plain)}.js`;
await writeFile(join(assets, workerName), plain);

const result = await build({
  absWorkingDir: here,
  entryPoints: { live: "src/live.ts", boundaries: "src/boundaries.ts" },
  bundle: true,
  splitting: true,
  format: "esm",
  target: ["chrome110", "firefox115", "safari16"],
  minify: true,
  legalComments: "linked",
  metafile: true,
  outdir: assets,
  entryNames: "[name]-[hash]",
  chunkNames: "part-[hash]",
  assetNames: "[name]-[hash]",
  loader: { ".woff2": "file", ".svg": "file" },
  // Files name each other by where they lie, so that all of them may stand under any path.
  define: { MAP_WORKER: JSON.stringify(workerName) },
  logLevel: "warning",
});

// Which files a page needs: its script, and the style that goes with it.
const manifest = {};
for (const [file, output] of Object.entries(result.metafile.outputs)) {
  if (!output.entryPoint) continue;
  const name = output.entryPoint.replace(/^src\/|\.ts$/g, "");
  const address = (path) => `/static/${relative(out, join(here, path)).replaceAll("\\", "/")}`;
  const parts = output.imports.filter((item) => item.kind === "import-statement").map((item) => address(item.path));
  manifest[name] = { script: address(file), style: output.cssBundle ? address(output.cssBundle) : null, parts };
}
for (const [name, page] of [
  ["live", "index.html"],
  ["boundaries", "boundaries.html"],
]) {
  const { script, style, parts } = manifest[name];
  const head = [
    style && `<link rel="stylesheet" href="${style}" />`,
    ...parts.map((part) => `<link rel="modulepreload" href="${part}" />`),
    `<script type="module" src="${script}"></script>`,
  ].filter(Boolean);
  const html = await readFile(join(here, page), "utf8");
  await writeFile(join(out, page), html.replace("<!-- head -->", head.join("\n    ")));
}
await copyFile(join(here, "icon.svg"), join(out, "icon.svg"));
const sizes = {};
for (const name of await readdir(assets)) sizes[name] = (await readFile(join(assets, name))).length;
await writeFile(join(out, "manifest.json"), `${JSON.stringify({ pages: manifest, bytes: sizes }, null, 1)}\n`);
