"""Links in what others wrote cannot be clicked once it is sent on: ``https://x.example`` leaves as ``hxxps[:]//x[.]example``.

Whoever reads a message from this workspace trusts it, so it must not carry an attacker's link. Only content of actions that go
outside is touched, and in it only what is untrusted. It happens before policy decides and before a person is asked, so what
is shown and approved is what is sent. Pure.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from steward.action import ActionDefinition, ParameterRole
from steward.dataflow import parameter_at
from steward.provenance import Label
from steward.shape import Shape
from steward.step_values import Ready

EXTERNAL: Final = "external"
"""The policy group of actions that go outside."""
_COLON: Final = r"[:\uff1a\ufe55\ua789]"
_SCHEME: Final = re.compile(rf"\b([a-z][a-z0-9+.-]{{1,30}}){_COLON}(?=//|\\\\|/\\|\\/)", re.IGNORECASE)
_BARE_SCHEME: Final = re.compile(rf"\b(mailto|tel|sms|data|javascript|vbscript){_COLON}(?=\S)", re.IGNORECASE)
_DOT: Final = r"[.\u3002\uff0e\uff61]"
_LOOSE_DOT: Final = re.compile(rf"(?<!\[){_DOT}(?!\])")
_TOP: Final = (
    r"(?:[a-z]{2}|biz|com|edu|gov|net|org|pro|web|xxx|aero|asia|coop|info|museum|name|shop|app|dev|xyz|xn--[a-z0-9-]+)"
)
"""Endings at which mail programs make a link of a bare name."""
_HOST: Final = re.compile(
    rf"(?<![\w@.])(?:(?:[\w-]{{1,63}}{_DOT}){{1,10}}{_TOP}(?![\w-])|(?:[\w-]{{1,63}}{_DOT}){{1,10}}[^\W\d_]{{2,24}}(?=[/:?#]))",
    re.IGNORECASE,
)
_AFTER_SCHEME: Final = re.compile(r"(?<=\[:\]//)[^\s/?#<>\"'\]]+")


def without_links(text: str) -> str:
    """Return ``text`` with every link in it spelt so that no program makes it one; it can still be read."""
    plain = _SCHEME.sub(lambda found: f"{_unlike(found[1])}[:]", text)
    plain = _BARE_SCHEME.sub(lambda found: f"{found[1]}[:]", plain)
    plain = _AFTER_SCHEME.sub(_dotted, plain)
    return _HOST.sub(_dotted, plain)


def _unlike(scheme: str) -> str:
    return scheme.replace("tt", "xx").replace("TT", "XX")


def _dotted(found: re.Match[str]) -> str:
    return _LOOSE_DOT.sub("[.]", found[0])


def guarded(definition: ActionDefinition, turn: Ready) -> Ready:
    """Return the step's values with the links in untrusted content made unclickable, if it goes outside."""
    if EXTERNAL not in definition.groups or not turn.shapes:
        return turn
    content = {
        name: _guarded(turn.params[name], shape)
        for name, shape in turn.shapes.items()
        if definition.role_of(name) is ParameterRole.CONTENT
    }
    return replace(turn, params={**turn.params, **content})


def guarded_places(definition: ActionDefinition, inputs: Mapping[str, Any]) -> list[str]:
    """Return the places among a step's inputs in which links will be made unclickable, for the preview."""
    if EXTERNAL not in definition.groups:
        return []
    return [
        place
        for place, origin in inputs.items()
        if origin["label"] == Label.UNTRUSTED and definition.role_of(parameter_at(place)) is ParameterRole.CONTENT
    ]


def _guarded(value: Any, shape: Shape) -> Any:
    if isinstance(value, str):
        return without_links(value) if shape.whole is Label.UNTRUSTED else value
    if isinstance(value, Mapping):
        return {
            _guarded(name, Shape(label=shape.label)): _guarded(one, shape.get(name) or Shape(label=shape.label))
            for name, one in value.items()
        }
    return [_guarded(one, shape.element) for one in value] if isinstance(value, list) else value
