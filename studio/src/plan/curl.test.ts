import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { curl } from "./curl";

test("a shell hands curl the sentence as it was written, and the key from its own environment", () => {
  const prompt = `say "it's $HOME" \`date\`; touch hit\n\\end`;
  const args = execFileSync("sh", ["-c", `curl() { for one; do printf '%s\\0' "$one"; done; }\n${curl("http://127.0.0.1:8440", prompt)}`], {
    env: { STEWARD_API_KEY: "stw_key" },
    encoding: "utf8",
  }).split("\0");
  assert.deepEqual(args.slice(0, 4), ["-s", "http://127.0.0.1:8440/ai/plan", "-H", "Authorization: Bearer stw_key"]);
  assert.deepEqual(JSON.parse(args[7]!), { prompt });
});
