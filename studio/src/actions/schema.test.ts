import assert from "node:assert/strict";
import { test } from "node:test";
import { fieldsOf, paramsFrom, typeWords } from "./schema";

const address = { type: "string", maxLength: 254 };
const MAIL = {
  type: "object",
  properties: {
    subject: { type: "string", default: "(no subject)" },
    to: { anyOf: [address, { type: "array", items: address, maxItems: 100 }], description: "Who gets it." },
    copies: { type: "integer", minimum: 1, maximum: 10 },
    value: {},
  },
  required: ["to", "subject", "value"],
};

test("types are words", () => {
  const of = (name: string): string => typeWords((MAIL.properties as Record<string, object>)[name] as never);
  assert.equal(of("to"), "text or list of text");
  assert.equal(typeWords(address), "text, at most 254 characters");
  assert.equal(typeWords({ type: "array", items: address, maxItems: 1000 }), "list of text, at most 1,000");
  assert.equal(of("copies"), "whole number from 1 to 10");
  assert.equal(of("value"), "any value");
  assert.equal(typeWords({ enum: ["a", 1] }), 'one of "a", 1');
  assert.equal(typeWords({ type: ["string", "null"] }), "text or nothing");
  assert.equal(typeWords({ type: "object", properties: { a: {}, b: {} } }), "object with a, b");
  assert.equal(typeWords({ type: "array", items: 7 } as never), "list of any values");
});

test("what must be given stands first, and what has a value of its own need not be given", () => {
  assert.deepEqual(
    fieldsOf(MAIL).map(({ name, needed, otherwise }) => [name, needed, otherwise]),
    [
      ["to", true, null],
      ["value", true, null],
      ["subject", false, '"(no subject)"'],
      ["copies", false, null],
    ],
  );
  assert.deepEqual(fieldsOf({ properties: null }), []);
});

test("what is written becomes a text where one may be, and else what it says as JSON", () => {
  const written = { to: "a@example.com", copies: "3", value: '{"x": 1}', subject: " " };
  assert.deepEqual(paramsFrom(fieldsOf(MAIL), written), { to: "a@example.com", copies: 3, value: { x: 1 } });
  assert.deepEqual(paramsFrom(fieldsOf(MAIL), { to: '["a@example.com"]', copies: "three" }), { to: ["a@example.com"], copies: "three" });
});
