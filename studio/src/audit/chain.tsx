// Whether the chain is whole, asked when somebody wants to know: it looks at every record.
import { useState } from "preact/hooks";
import { api, data } from "../api/client";
import { useDoing } from "../api/hooks";
import type { AuditVerdict } from "../api/types";
import { count } from "../format";
import { Badge } from "../ui/badge";
import { Refused } from "../ui/notice";
import { announce } from "../ui/page";
import { Pairs } from "../ui/table";
import { Text } from "../ui/text";

export function Chain() {
  const [noted, setNoted] = useState("");
  const [verdict, setVerdict] = useState<AuditVerdict | null>(null);
  const doing = useDoing();
  const check = (event: Event): void => {
    event.preventDefault();
    void doing.run(async () => {
      const query = noted.trim() ? { noted: noted.trim() } : {};
      const found = await data(api.GET("/audit/verify", { params: { query } }));
      setVerdict(found);
      announce(found.sound ? "The chain is whole" : "The chain is broken");
    });
  };
  return (
    <section class="card part" aria-labelledby="chain">
      <h2 id="chain">Is the chain whole?</h2>
      <form class="inline" onSubmit={check}>
        <div class="field">
          <label for="noted">Place noted earlier, if any</label>
          <input id="noted" placeholder="head:hash" value={noted} onInput={(event) => setNoted(event.currentTarget.value)} />
        </div>
        <button type="submit" disabled={doing.busy}>
          {doing.busy ? "Looking at every record…" : "Check the chain"}
        </button>
      </form>
      <Refused problem={doing.problem} />
      {verdict && <Checked verdict={verdict} />}
    </section>
  );
}

function Checked({ verdict }: { verdict: AuditVerdict }) {
  const signing = verdict.keys.find((key) => key.signs);
  return (
    <>
      <p class="row">
        {verdict.sound ? <Badge tone="good">Whole</Badge> : <Badge tone="bad">Broken</Badge>}
        <span>
          {count(verdict.records, "record")}, signed up to {verdict.sealed.toLocaleString()} of {verdict.head.toLocaleString()}
        </span>
      </p>
      {!verdict.sound && (
        <p class="job-error">
          <Text>{verdict.problem}</Text>
          {verdict.first_bad !== null && ` It begins at record ${verdict.first_bad}.`}
        </p>
      )}
      <Pairs
        pairs={[
          ["Place to note", <code key="place">{`${verdict.head}:${verdict.hash}`}</code>],
          ["First record kept", verdict.begins.toLocaleString()],
          ["Checkpoints", verdict.checkpoints.toLocaleString()],
          ["Signed with", signing && <code key="key">{signing.key_id}</code>],
        ]}
      />
      <p class="quiet small">Keep the place somewhere else: given above one day, it shows that nothing was rolled back.</p>
    </>
  );
}
