// The request that makes this plan, for a shell. The key stays where it is: the shell takes it from its environment.
import { useState } from "preact/hooks";
import { announce } from "../ui/page";
import { Text } from "../ui/text";
import { curl } from "./curl";

export function AsCurl({ prompt }: { prompt: string }) {
  const [copied, setCopied] = useState(false);
  const command = curl(location.origin, prompt);
  const copy = (): void => {
    navigator.clipboard.writeText(command).then(
      () => {
        setCopied(true);
        announce("Copied.");
      },
      () => undefined, // it stands there to be chosen by hand
    );
  };
  return (
    <details class="as-curl">
      <summary class="quiet small">As curl</summary>
      <pre class="json" tabIndex={0}>
        <Text>{command}</Text>
      </pre>
      {"clipboard" in navigator && (
        <button type="button" onClick={copy}>
          {copied ? "Copied" : "Copy"}
        </button>
      )}
    </details>
  );
}
