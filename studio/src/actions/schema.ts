// A JSON Schema as people read it: one line for each field, and each type in words. Pure.

export type Schema = Readonly<Record<string, unknown>>;

export interface Field {
  name: string;
  type: string;
  needed: boolean;
  /** What is taken where nothing is given, as JSON. */
  otherwise: string | null;
  text: string;
  /** Whether a text can be given as it is, rather than as JSON. */
  isText: boolean;
}

const isSchema = (value: unknown): value is Schema => typeof value === "object" && value !== null && !Array.isArray(value);
const schemas = (value: unknown): Schema[] => (Array.isArray(value) ? value.filter(isSchema) : []);
const MOST = 6;

/** Return the fields of an object's schema, those that are needed first. */
export function fieldsOf(schema: Schema): Field[] {
  const properties = isSchema(schema["properties"]) ? schema["properties"] : {};
  const needed = new Set(Array.isArray(schema["required"]) ? schema["required"] : []);
  const fields = Object.entries(properties).map(([name, value]) => {
    const field = isSchema(value) ? value : {};
    return {
      name,
      type: typeWords(field),
      needed: needed.has(name) && !("default" in field),
      otherwise: "default" in field ? JSON.stringify(field["default"]) : null,
      text: typeof field["description"] === "string" ? field["description"] : "",
      isText: takesText(field),
    };
  });
  return fields.sort((a, b) => Number(b.needed) - Number(a.needed));
}

/** Return what a value has to be: "text", "list of text, at most 10", "whole number from 1 to 10". `brief`: without limits. */
export function typeWords(schema: Schema, brief = false): string {
  const choices = [...schemas(schema["anyOf"]), ...(schema["type"] ? [] : schemas(schema["oneOf"]))];
  if (choices.length) return [...new Set(choices.map((one) => typeWords(one, true)))].join(" or ");
  if (Array.isArray(schema["enum"])) return `one of ${schema["enum"].map((one) => JSON.stringify(one)).join(", ")}`;
  if ("const" in schema) return JSON.stringify(schema["const"]);
  if (Array.isArray(schema["type"])) return schema["type"].map((type) => typeWords({ ...schema, type }, true)).join(" or ");
  return plainWords(schema) + (brief ? "" : limitWords(schema));
}

const PLAIN: Readonly<Record<string, string>> = { string: "text", integer: "whole number", number: "number", boolean: "yes or no", null: "nothing" };
const FORMATS: Readonly<Record<string, string>> = { uri: "web address", "date-time": "moment", date: "date", email: "e-mail address" };

function plainWords(schema: Schema): string {
  const type = String(schema["type"]);
  if (type === "array") return `list of ${isSchema(schema["items"]) ? typeWords(schema["items"], true) : "any values"}`;
  if (type === "object") return objectWords(schema);
  if (type === "string" && typeof schema["format"] === "string") return FORMATS[schema["format"]] ?? "text";
  return PLAIN[type] ?? "any value";
}

function objectWords(schema: Schema): string {
  const names = isSchema(schema["properties"]) ? Object.keys(schema["properties"]) : [];
  if (!names.length) return "object";
  return `object with ${names.slice(0, MOST).join(", ")}${names.length > MOST ? "…" : ""}`;
}

function limitWords(schema: Schema): string {
  const [least, most] = [schema["minimum"], schema["maximum"]];
  if (typeof least === "number" && typeof most === "number") return ` from ${least} to ${most}`;
  if (typeof least === "number") return `, at least ${least}`;
  for (const [limit, unit] of [[most, ""], [schema["maxItems"], ""], [schema["maxLength"], " characters"]])
    if (typeof limit === "number") return `, at most ${limit.toLocaleString("en")}${unit}`;
  return "";
}

function takesText(schema: Schema): boolean {
  if (schema["type"] === "string") return true;
  const choices = [...schemas(schema["anyOf"]), ...schemas(schema["oneOf"])];
  return choices.length ? choices.some(takesText) : schema["type"] === undefined && !("enum" in schema);
}

/** Return the parameters that were written into a form; what was left blank is left out. */
export function paramsFrom(fields: readonly Field[], written: Readonly<Record<string, string>>): Record<string, unknown> {
  const params: Record<string, unknown> = {};
  for (const field of fields) {
    const text = written[field.name] ?? "";
    if (text.trim()) params[field.name] = valueOf(text, field);
  }
  return params;
}

function valueOf(text: string, field: Field): unknown {
  if (field.isText && !/^\s*[[{]/.test(text)) return text;
  try {
    return JSON.parse(text);
  } catch {
    return text; // the API says what it should have been
  }
}
