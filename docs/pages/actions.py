"""The built-in actions, from their definitions."""

from pathlib import Path

from pages.markdown import described, table
from steward.action import ActionDefinition
from steward.actions.builtin import builtin_actions

_INTRO = """# Built-in actions

What an action takes is declared as JSON Schema, and every parameter has a role. The role decides where its value may come
from: a *content* or *object* parameter may take the result of an earlier step, a *destination*, *amount*, *time* or
*secret* parameter may not. "Effect and retry" says whether the action changes anything, and how a repeat stays safe
([effects](../explanation/effects.md)). "Sentences" are what the built-in planner understands: `[…]` may be left out,
`(a|b)` is a choice, `{name:kind}` is a value.

Actions of your own are described in [own-action](../how-to/own-action.md).
"""


def _action(definition: ActionDefinition) -> str:
    schema = definition.input_schema
    needed = set(schema.get("required", ()))
    rows = [
        (
            f"`{name}`" + ("" if name in needed else " (optional)"),
            definition.role_of(name),
            described(about),
            about.get("description", ""),
        )
        for name, about in schema["properties"].items()
    ]
    fields = ", ".join(f"`{name}`" for name in definition.output_schema.get("properties", ())) or "any value"
    retry = f", {definition.retry}" if definition.effect == "write" else ""
    facts = [
        definition.description,
        f"Effect and retry: {definition.effect}{retry} ({definition.reversibility}). Returns: {fields}.",
        f"An attempt may take {definition.timeout_s:g} seconds; there are at most {definition.max_attempts} attempts.",
    ]
    sentences = "\nSentences:\n\n" + "\n".join(f"- `{sentence}`" for sentence in definition.sentences) + "\n"
    parameters = table(("Parameter", "Role", "Type", "Meaning"), rows)
    return (
        f"\n## `{definition.id}`\n\n"
        + "\n\n".join(facts)
        + f"\n\n{parameters}{sentences if definition.sentences else ''}"
    )


def make() -> str:
    """Return the page."""
    found = builtin_actions(
        smtp_url="smtp://localhost:2525",
        smtp_from="office@example.com",
        webhook_secrets={},
        http_allow_hosts=frozenset(),
        files_root=Path("files"),
    )
    definitions = sorted((action.definition for action in found), key=lambda definition: definition.id)
    return _INTRO + "".join(_action(definition) for definition in definitions)
