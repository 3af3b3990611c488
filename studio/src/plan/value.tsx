// A parameter or a result as it is: text as text, a reference in words, anything else as the JSON it is.
import { Text } from "../ui/text";

export const MASKED = "***REDACTED***";

type Json = unknown;
const isObject = (value: Json): value is Record<string, Json> => typeof value === "object" && value !== null && !Array.isArray(value);

/** Return the path of a reference such as `{"$ref": "steps.s1.result.text"}`. */
export function reference(value: Json): string | null {
  return isObject(value) && typeof value["$ref"] === "string" ? value["$ref"] : null;
}

/** Say whether a value, or anything in it, is masked. */
export function holdsMask(value: Json): boolean {
  return JSON.stringify(value ?? null).includes(MASKED);
}

/** Return the step that a reference is about, and the rest of its path. */
export function referred(path: string): { step: string; rest: string } | null {
  const match = /^steps\.([a-z][a-z0-9_]*)\.result\.?(.*)$/.exec(path);
  return match ? { step: match[1]!, rest: match[2]! } : null;
}

export function Value({ value }: { value: Json }) {
  const path = reference(value);
  if (path !== null) return <Reference path={path} />;
  if (isObject(value) && typeof value["$template"] === "string") return <Template template={value["$template"]} vars={value["vars"]} />;
  if (value === null || value === undefined) return <span class="quiet">nothing</span>;
  if (value === MASKED) return <span class="masked">kept secret</span>;
  if (typeof value === "string") return value === "" ? <span class="quiet">empty</span> : <Text>{value}</Text>;
  if (typeof value === "number" || typeof value === "boolean") return <span>{String(value)}</span>;
  if (isTexts(value)) return <Texts items={value} />;
  if (isObject(value) && isFlat(value)) return <Fields fields={value} />;
  return (
    <pre class="json" tabIndex={0}>
      <Text>{isNumbers(value) ? `[${value.join(", ")}]` : JSON.stringify(value, null, 2)}</Text>
    </pre>
  );
}

const MOST_FIELDS = 12;
const isNumbers = (value: Json): value is number[] => Array.isArray(value) && value.every((item) => typeof item === "number");
const isTexts = (value: Json): value is string[] => Array.isArray(value) && value.length > 0 && value.every((item) => typeof item === "string");

/** Say whether an object reads better as a list of fields than as JSON. */
function isFlat(fields: Record<string, Json>): boolean {
  const values = Object.values(fields);
  return values.length > 0 && values.length <= MOST_FIELDS && values.every((value) => typeof value !== "object" || value === null || isTexts(value));
}

function Fields({ fields }: { fields: Record<string, Json> }) {
  return (
    <dl class="pairs">
      {Object.entries(fields).map(([name, value]) => (
        <div key={name}>
          <dt>
            <Text>{name}</Text>
          </dt>
          <dd>
            <Value value={value} />
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Texts({ items }: { items: string[] }) {
  return (
    <ul class="values">
      {items.map((item, place) => (
        <li key={place}>
          <Text>{item}</Text>
        </li>
      ))}
    </ul>
  );
}

function Reference({ path }: { path: string }) {
  const found = referred(path);
  if (!found) return <code class="expression">{path}</code>;
  return (
    <span class="reference">
      what step <code>{found.step}</code> brings{found.rest && <>: <code>{found.rest}</code></>}
    </span>
  );
}

function Template({ template, vars }: { template: string; vars: Json }) {
  return (
    <span class="template">
      <Text>{template}</Text>
      {isObject(vars) && (
        <ul class="values">
          {Object.entries(vars).map(([name, value]) => (
            <li key={name}>
              <code>{`{${name}}`}</code> is <Value value={value} />
            </li>
          ))}
        </ul>
      )}
    </span>
  );
}
