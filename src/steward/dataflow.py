"""Where each value of a step comes from: worked out on schemas before the run, and on what is there during it.

What is found before the run is never more trusted than what is found during it, since both follow the same rules
(``steward.flow``) and a result carries the labels that its action declared, or better ones.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

from steward.action import ActionDefinition
from steward.errors import FieldProblem, Invalid
from steward.expression import Expression, expressions, shape_in
from steward.provenance import Label, at_least, join
from steward.shape import ANY_TYPE, SETTLED, Shape, labels_in, merged, shape_of, text

WHEN: Final = "$when"
FOR_EACH: Final = "$for_each"
NAMES: Final = "$names"
"""In a step that was planned during the run: what its expressions call other steps, and which those are."""
_OBJECT: Final = frozenset({"object"})
_TEXT: Final = frozenset({"string"})
CONTEXT: Final = ("actor_id", "now", "today", "workspace_id")
"""What ``ctx`` holds: who runs the plan, where, and when it was executed."""


@dataclass(frozen=True)
class Source:
    """An earlier step, as far as a later one may know it."""

    words: str
    """How it is named to people: ``s1 (http.get)``."""
    result: Shape

    @cached_property
    def seen(self) -> Shape:
        """What an expression finds under the step's id."""
        return _closed({"result": self.result})


@dataclass(frozen=True)
class Inputs:
    """What one step may look at."""

    sources: Mapping[str, Source]
    item: Source | None = None
    """Inside a step that runs for each of a list: one of them."""
    constants: Label = Label.TRUSTED
    """How far what is written out in the step can be trusted: less, if its author had read what others wrote."""
    author_read: str = ""
    """What the author had read, in words, where constants are not trusted."""
    strict: bool = True
    """Whether a path that cannot lead anywhere is a mistake (before the run) or null (during it)."""

    @cached_property
    def scope(self) -> Shape:
        """What an expression looks at."""
        roots = {"steps": _closed({step_id: source.seen for step_id, source in self.sources.items()}), "ctx": _CTX}
        if self.item is not None:
            roots["item"] = self.item.result
        return _closed(roots)

    def for_the_next(self) -> "Inputs":
        """Return what the next step may look at, which has one source more: this, unless somebody has looked at it already."""
        return replace(self) if "scope" in vars(self) else self

    @property
    def written(self) -> Shape:
        """What a text is like that is written out in the step."""
        return text(self.constants)

    def shape(self, value: Any, pointer: str) -> Shape:
        """Return what a value of the step is like; raise ``Invalid`` if an expression in it cannot work.

        An expression is written out like any constant: an author who is not trusted chose what it picks, and what it says.
        """
        if isinstance(value, str):  # as most are: no need to know what an expression looks at
            return self.written
        found = shape_in(value, self.scope, pointer, constants=self.constants, strict=self.strict)
        return found.tainted(self.constants)

    def words(self, expression: Expression) -> str:
        """Return where an expression's value comes from, in words."""
        found = [self.sources[step_id].words for step_id in expression.steps if step_id in self.sources]
        if "item" in expression.roots and self.item is not None:
            found.append(self.item.words)
        if "ctx" in expression.roots:
            found.append("the run itself")
        return ", ".join(dict.fromkeys(found)) or "the plan"

    def origins(self, params: Mapping[str, Any], at: str) -> dict[str, dict[str, str]]:
        """Return for each place in the parameters that is not simply written out where it comes from, and its label.

        ``at`` is the pointer of the parameters; the places returned are below it. Raises ``Invalid`` as ``shape`` does.
        """
        found = {} if self.constants is Label.TRUSTED else self._written(params)
        for expression in expressions(params, at):
            label = self.shape(expression.value, expression.pointer).whole
            place = expression.pointer.removeprefix(at + "/")
            found[place] = {"from": self.words(expression), "label": label}
        return found

    def _written(self, params: Mapping[str, Any]) -> dict[str, dict[str, str]]:
        said = (
            f"written after reading {self.author_read}"
            if self.author_read
            else "written by an author who had read other things"
        )
        return {name.replace("~", "~0").replace("/", "~1"): {"from": said, "label": self.constants} for name in params}


def unseen(written: Mapping[str, Any], origins: Mapping[str, Mapping[str, str]]) -> frozenset[str]:
    """Return the places whose value nobody can have seen before the run: what an expression makes of more than the plan itself."""
    if not origins:
        return frozenset()
    places = {expression.pointer.removeprefix("/") for expression in expressions(written)}
    return frozenset(place for place, origin in origins.items() if place in places and origin["label"] != Label.TRUSTED)


def parameter_at(place: str) -> str:
    """Return the name of the parameter that a place is in."""
    return place.split("/", 1)[0].replace("~1", "/").replace("~0", "~")


def _closed(fields: Mapping[str, Shape]) -> Shape:
    return Shape(label=Label.TRUSTED, types=_OBJECT, fields=fields, open=False)


_CTX: Final = _closed({name: Shape(label=Label.TRUSTED, types=_TEXT) for name in CONTEXT})


def result_shape(definition: ActionDefinition, params: Mapping[str, Shape]) -> Shape:
    """Return what a step will return: what its schema says, with the labels that its action declares.

    What its provider mints of an object that the user named is entailed, and what it is asked about something that was picked by
    a place is as little named as that. A field that merely passes a parameter on is like that parameter.
    """
    if definition.made_of_params:
        return shape_of(definition.output_schema, {"": join(shape.whole for shape in params.values())}).settle()
    made = definition.returned.made_from(*params.values())
    if definition.objects and _is_about_what_was_named(definition, params):
        made = made.entailed()
    if not definition.passes:
        return made
    passed = {out: params[name] for out, name in definition.passes.items() if name in params}
    return _with_fields(made, passed)


def result_labels(
    definition: ActionDefinition, params: Mapping[str, Shape], own: Mapping[str, Label] | None
) -> dict[str, Label]:
    """Return the labels to be kept with what a step did return; ``own``: those that the action gave it itself.

    The same rule as ``result_shape``, on paths: a result is not looked through, whatever its size.
    """
    if definition.made_of_params:
        least = join(shape.whole for shape in params.values())
        return {"": least, SETTLED: least}
    found = dict(definition.output_labels if own is None else own)
    if any(shape.placed for shape in params.values()):
        own_fields = definition.output_schema.get("properties", {}).keys() - definition.passes.keys()
        marked = [name + SETTLED for name in own_fields] if definition.passes else [SETTLED]
        found |= dict.fromkeys(marked, Label.SYSTEM)
    if _is_about_what_was_named(definition, params):
        found = {path: Label.ENTAILED if label is Label.SYSTEM else label for path, label in found.items()}
    for out, name in definition.passes.items():
        for path, label in labels_in(params[name]).items() if name in params else ():
            found[out + (path if not path or path.startswith("[") else f".{path}")] = label
    return found


def _is_about_what_was_named(definition: ActionDefinition, params: Mapping[str, Shape]) -> bool:
    named = [params[name].whole for name in definition.objects if name in params]
    return bool(named) and at_least(join(named), Label.ENTAILED)


def _with_fields(shape: Shape, fields: Mapping[str, Shape]) -> Shape:
    return replace(shape, fields={**shape.fields, **fields})


def gathered(listed: Shape, results: Iterable[Shape]) -> Shape:
    """Return what a step that ran for each of a list returns: a list of what each returned, in order."""
    found = list(results)
    return Shape(
        label=join((listed.label, listed.chosen)), types=frozenset({"array"}), items=merged(found) if found else None
    )


def require_types(taken: Shape, name: str, shape: Shape, pointer: str) -> None:
    """Raise ``Invalid`` if a parameter's value can never be of a type that the action takes there."""
    wanted = taken.fields.get(name)
    if wanted is None or shape.types == ANY_TYPE:
        return
    if not (shape.types - {"null"}) & wanted.types and shape.types != {"null"}:
        found, takes = " or ".join(sorted(shape.types - {"null"})), " or ".join(sorted(wanted.types))
        sentence = f"This is {found}, and '{name}' takes {takes}."
        raise Invalid(sentence, errors=[FieldProblem(pointer, sentence)], code="invalid_reference")
