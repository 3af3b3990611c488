// Builds Studio into one folder: a page, one script, one style sheet, each also gzipped. The names of script and style carry
// their hash, so that a browser may keep them for ever. The same sources and lock file give the same bytes.
//
//   node build.mjs             into ../src/steward/studio
//   node build.mjs --out DIR   somewhere else
//   node build.mjs --tests     the unit tests, into build/tests
import { build } from "esbuild";
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const here = fileURLToPath(new URL(".", import.meta.url));
const common = {
  absWorkingDir: here,
  bundle: true,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none",
  logLevel: "warning",
};

async function testFiles() {
  const files = await readdir(join(here, "src"), { recursive: true });
  return files.filter((name) => /\.test\.tsx?$/.test(name)).sort().map((name) => join("src", name));
}

async function buildTests() {
  const outdir = join(here, "build", "tests");
  await rm(outdir, { recursive: true, force: true });
  const options = { platform: "node", outExtension: { ".js": ".mjs" }, outdir, entryPoints: await testFiles() };
  await build({ ...common, ...options });
}

async function buildPage(out) {
  const assets = join(out, "assets");
  await rm(out, { recursive: true, force: true });
  await mkdir(assets, { recursive: true });
  const result = await build({
    ...common,
    entryPoints: ["src/main.tsx", "src/styles/studio.css"],
    entryNames: "[name]-[hash]",
    outdir: assets,
    minify: true,
    metafile: true,
  });
  const made = Object.keys(result.metafile.outputs).map((path) => basename(path));
  const one = (ending) => made.find((name) => name.endsWith(ending));
  const icon = await readFile(join(here, "src", "icon.svg"), "utf8");
  await writeFile(join(assets, "icon.svg"), icon);
  const page = (await readFile(join(here, "src", "index.html"), "utf8"))
    .replace("{script}", `/studio/assets/${one(".js")}`)
    .replace("{style}", `/studio/assets/${one(".css")}`);
  await writeFile(join(out, "index.html"), page);
  for (const path of [join(out, "index.html"), ...[...made, "icon.svg"].map((name) => join(assets, name))]) {
    await writeFile(`${path}.gz`, gzipSync(await readFile(path), { level: 9 }));
  }
}

const flags = process.argv.slice(2);
if (flags[0] === "--tests") await buildTests();
else await buildPage(flags[0] === "--out" ? flags[1] : join(here, "..", "src", "steward", "studio"));
