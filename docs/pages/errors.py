"""Every error code: the tree of ``steward.errors``, and the codes that stand where something is raised."""

import ast
from collections.abc import Iterator
from pathlib import Path

import steward.web.app  # so that the errors that only HTTP knows are in the tree
from pages.markdown import table
from steward import errors

_SOURCE = Path(steward.errors.__file__).parent
_INTRO = """# Errors

Every refusal and failure over HTTP has one shape, `application/problem+json`:

```json
{"type": "urn:steward:problem:plan_expired", "title": "Conflict", "status": 409, "code": "plan_expired",
 "detail": "The plan was not executed in time; make a new one.", "request_id": "req_…"}
```

`code` is the word to match on; it does not change. `detail` is a sentence that is safe to show: it holds no secret, no
stack and nothing of another workspace, and it may be reworded at any time. `errors`, where there is one, lists the fields
at fault, each with a JSON pointer. `request_id` also stands in the header `X-Request-ID` and in the server's log.

## The tree

An indented code is a special case of the one above it.

"""
_NARROW = """
## Narrower codes

Some places say more precisely what is wrong. They keep the status of the error they narrow.

"""
_ROUTER = """
A path that does not take a method is answered with 405 and the code `method_not_allowed`; the header `Allow` names the methods that it
takes.
"""
_JOBS = """
## Codes in a job's `error`

A job's error has the shape `{code, detail, retryable}`. Own actions choose their own codes when they raise
`ActionFailed` or `OutcomeUnknown`; these are the ones that Steward itself and its built-in actions use, beside `http_` and the status
(`http_404`), where the receiver of a webhook answered with one that is no success.

"""


def _error_rows(kind: type[errors.StewardError], depth: int = 0) -> Iterator[tuple[object, ...]]:
    meaning = (kind.__doc__ or "").split("\n", 1)[0]
    yield ("&emsp;" * depth + f"`{kind.code}`", kind.status if depth or kind.status else "", kind.title, meaning)
    for child in sorted(kind.__subclasses__(), key=lambda child: (child.status, child.code)):
        yield from _error_rows(child, depth + 1)


def _calls() -> Iterator[tuple[str, ast.Call]]:
    """Yield every call in the source by the name of what is called."""
    for path in sorted(_SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                yield (node.func.id if isinstance(node.func, ast.Name) else node.func.attr), node


def _text(node: ast.expr | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _all_errors(kind: type[errors.StewardError]) -> dict[str, type[errors.StewardError]]:
    found = {kind.__name__: kind}
    for child in kind.__subclasses__():
        found |= _all_errors(child)
    return found


def make() -> str:
    """Return the page."""
    kinds = _all_errors(errors.StewardError)
    narrow: set[tuple[str, str, int]] = set()
    jobs: set[str] = set()
    for name, call in _calls():
        first = _text(call.args[0]) if call.args else None
        if name in kinds:
            code = next((_text(keyword.value) for keyword in call.keywords if keyword.arg == "code"), None)
            if code:
                narrow.add((code, kinds[name].code, kinds[name].status))
        elif name in {"JobError", "ActionFailed", "OutcomeUnknown", "_error"} and first:
            jobs.add(first)
    rows = [(f"`{code}`", f"`{wider}`", status) for code, wider, status in sorted(narrow)]
    return (
        _INTRO
        + table(("Code", "Status", "Title", "Meaning"), _error_rows(errors.StewardError))
        + _NARROW
        + table(("Code", "Narrows", "Status"), rows)
        + _ROUTER
        + _JOBS
        + ", ".join(f"`{code}`" for code in sorted(jobs))
        + ".\n"
    )
