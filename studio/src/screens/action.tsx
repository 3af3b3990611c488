// One action: what it takes, what it brings, how risky it is, who has it, and what the rules say of a call.
import { useRoute } from "preact-iso";
import { fieldsOf, type Field } from "../actions/schema";
import { backWords, effectWords, retryWords } from "../actions/words";
import { api, data } from "../api/client";
import { useLoaded } from "../api/hooks";
import type { ActionDescription } from "../api/types";
import { Verdicts } from "../policy/verdicts";
import { may, useSession } from "../session";
import { Loading, Refused } from "../ui/notice";
import { Only } from "../ui/only";
import { Page } from "../ui/page";
import { type Column, Pairs, Table } from "../ui/table";
import { Text } from "../ui/text";
import { Availability } from "./actions";
import { MissingScreen } from "./missing";

export function ActionScreen() {
  const id = useRoute().params["id"] ?? "";
  if (may(useSession(), "actions:preview")) return <Loader key={id} id={id} />;
  return (
    <Page wide title="Action">
      <Only scope="actions:preview" what="The actions" />
    </Page>
  );
}

function Loader({ id }: { id: string }) {
  const catalogue = useLoaded(() => data(api.GET("/actions")), "actions");
  const action = catalogue.value?.actions.find((one) => one.id === id);
  if (action) return <Shown action={action} />;
  if (catalogue.value) return <MissingScreen />;
  return (
    <Page wide title="Action">{catalogue.problem ? <Refused problem={catalogue.problem} retry={catalogue.reload} /> : <Loading what="the action" />}</Page>
  );
}

function Shown({ action }: { action: ActionDescription }) {
  const roles = Object.values(action.roles);
  const risky = ["destination", "amount", "secret"].filter((role) => roles.includes(role));
  return (
    <Page wide title={action.title} aside={<code class="quiet">{action.id}</code>}>
      <p>
        <Text>{action.description}</Text>
      </p>
      <Pairs
        pairs={[
          ["For you", <Availability key="for" action={action} />],
          ["Who runs it", "Developers and admins, as far as the rules let them"],
          ["Effect", effectWords(action)],
          ["Taking it back", backWords(action)],
          ["If nobody knows", retryWords(action)],
          ["Looked at closely", risky.length ? `Values in the role of ${risky.join(" or ")}` : null],
          ["Provider", <Text key="by">{action.provider}</Text>],
        ]}
      />
      <Fields id="takes" title="What it takes" schema={action.input_schema} roles={action.roles} none="It takes nothing." />
      <Fields id="brings" title="What it brings" schema={action.output_schema} none="It brings nothing that a later step could use." />
      <section class="part" aria-labelledby="verdict">
        <h2 id="verdict">Would it run?</h2>
        <Verdicts action={action} />
      </section>
    </Page>
  );
}

interface FieldsProps {
  id: string;
  title: string;
  schema: ActionDescription["input_schema"];
  roles?: ActionDescription["roles"];
  none: string;
}

function Fields({ id, title, schema, roles, none }: FieldsProps) {
  const fields = fieldsOf(schema);
  return (
    <section class="part" aria-labelledby={id}>
      <h2 id={id}>{title}</h2>
      {fields.length ? <Table label={title} columns={columns(roles)} rows={fields} keyOf={(field) => field.name} /> : <p class="quiet">{none}</p>}
    </section>
  );
}

const ROLES: Readonly<Record<string, string>> = {
  destination: "Where it goes",
  amount: "How much",
  object: "What it is about",
  time: "When",
  content: "Content",
  secret: "A secret",
};

function columns(roles: ActionDescription["roles"] | undefined): Column<Field>[] {
  const role: Column<Field> = {
    name: "Role",
    cell: ({ name }) => {
      const known = roles?.[name] ?? "";
      return <span class={["destination", "amount", "secret"].includes(known) ? "strong unbroken" : "unbroken"}>{ROLES[known] ?? known}</span>;
    },
  };
  return [
    {
      name: "Name",
      cell: (field) => (
        <>
          <code class="strong">
            <Text>{field.name}</Text>
          </code>
          {field.needed && roles && <span class="quiet small block">must be given</span>}
        </>
      ),
    },
    ...(roles ? [role] : []),
    {
      name: "Type",
      cell: (field) => (
        <>
          <Text>{field.type}</Text>
          {field.otherwise !== null && (
            <span class="quiet small block">
              otherwise <Text>{field.otherwise}</Text>
            </span>
          )}
        </>
      ),
    },
    { name: "What it is", cell: (field) => <Text>{field.text}</Text> },
  ];
}
