"""A plan as plain text: the preview for a mail, a terminal without tables, or a screen reader. Made of the document alone."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from steward.dataflow import parameter_at

LABELS: Final[Mapping[str, str]] = {
    "T": "from the plan",
    "E": "of what you named",
    "S": "made by its provider",
    "U": "others can write it",
}
"""What a label means, in a few words."""
_ORDER: Final = ("destination", "amount", "object", "secret", "time", "content")


def plan_text(document: Mapping[str, Any]) -> str:
    """Return everything that a person needs to say yes or no: what is read, what is sent where, as whom, and from which source."""
    lines = [document["intent"], f"Plan {document['plan_id']}, digest {document['digest'] or 'none yet'}"]
    for effect, title in (("read", "Reads"), ("write", "Sends or changes")):
        every = (one for step in document["steps"] for one in (step, *step.get("planned", ())))
        steps = [step for step in every if step["effect"] == effect]
        lines += ["", f"{title}:"] if steps else []
        for step in steps:
            lines += _step(step)
    lines += [f"Question ({question['param']}): {question['text']}" for question in document["questions"]]
    return "\n".join("".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in line) for line in lines) + "\n"


def _step(step: Mapping[str, Any]) -> Iterator[str]:
    account = f", as {step['acting_as']}" if step.get("acting_as") else ""
    undo = f", {step['reversibility']}" if step["effect"] == "write" else ""
    yield f"  {step['id']} {step['action_id']}{account}{undo}"
    roles = step.get("roles", {})
    for name, value in sorted(step["params"].items(), key=lambda item: _ORDER.index(roles.get(item[0], _ORDER[0]))):
        yield f"    {name} ({roles.get(name, _ORDER[0])}): {written(value)}"
        yield from (f"      {place} {origin}" for place, origin in origins(step, name))
    for name, words in (("when", "only if"), ("for_each", "once for each of")):
        if name in step:
            around = step[name]
            yield f"    {words}: {written(around['value'])} ({around['from']}: {LABELS[around['label']]})"
    if step.get("link_guard"):
        yield f"    links in {', '.join(step['link_guard'])} are made unclickable"
    if step["depends_on"]:
        yield f"    after: {', '.join(step['depends_on'])}"
    decision = step["decision"]
    moment = {
        "plan": " before anything starts",
        "step": " once its values are known",
        "both": " before and during the run",
    }
    yield f"    {decision['effect']}{moment.get(decision.get('moment', ''), '')}: {decision['reason']} ({decision['rule']})"


def origins(step: Mapping[str, Any], name: str) -> list[tuple[str, str]]:
    """Return for each place in a parameter that is fed where from, in words, with what its label means."""
    return [
        (place, f"comes from {origin['from']}: {LABELS[origin['label']]}")
        for place, origin in step.get("inputs", {}).items()
        if parameter_at(place) == name
    ]


def written(value: Any) -> str:
    """Return a value of a step as it was written: an expression as itself, without its wrapping."""
    if isinstance(value, Mapping) and set(value) == {"$ref"}:
        return f"← {value['$ref']}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
