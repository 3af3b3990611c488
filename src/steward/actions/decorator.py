"""``@action``: a plain Python function becomes an action, and stays a plain function.

::

    @action("notes.add", effect="write", retry="keyed", sentences=["note {text:text}"])
    def add(text: Annotated[str, Content], ctx: ActionContext) -> dict[str, str]:
        '''Add a note.'''
"""

import asyncio
import contextvars
import functools
import inspect
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Generic, Literal, ParamSpec, TypeVar

from pydantic_core import to_jsonable_python

from steward.action import (
    ActionContext,
    ActionDefinition,
    ActionFailed,
    CannotTell,
    DidNotHappen,
    Effect,
    Happened,
    Labelled,
    ProbeAnswer,
    RetryMode,
    StillRunning,
    is_action_id,
)
from steward.actions.signature import Signature, read_signature
from steward.errors import ConfigurationError
from steward.provenance import Label

_P = ParamSpec("_P")
_R = TypeVar("_R")
_MAX_THREADS: Final = 64
# Threads of their own: a synchronous action that hangs must not take the event loop's threads away from name lookups.
_THREADS: Final = ThreadPoolExecutor(max_workers=_MAX_THREADS, thread_name_prefix="steward-action")


_is_coroutine_function: Final = functools.cache(inspect.iscoroutinefunction)
"""Looked up once for each function: there are few, and they are called often."""


def _call(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Coroutine[Any, Any, Any]:
    """Return what brings what ``function`` returns: its own coroutine if it makes one, or a thread in which it runs."""
    return function(**arguments) if _is_coroutine_function(function) else _in_thread(function, arguments)


async def _in_thread(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    thread = _THREADS.submit(functools.partial(contextvars.copy_context().run, function, **arguments))
    ended = asyncio.wrap_future(thread)
    try:
        return await asyncio.shield(ended)
    except asyncio.CancelledError:
        if thread.cancel():
            raise ActionFailed("no_free_thread", "No thread was free to run it in.", retryable=True) from None
        raise StillRunning(ended) from None


class FunctionAction(Generic[_P, _R]):
    """An action made of a function; calling it calls the function."""

    __name__: str

    def __init__(
        self,
        function: Callable[_P, _R],
        definition: ActionDefinition,
        signature: Signature,
        probe: Callable[..., Any] | None,
        probe_signature: Signature | None,
    ) -> None:
        """Keep the function, its declaration, and the probe with its own signature where there is one."""
        self._function = function
        self._signature = signature
        self._probe = probe
        self._probe_signature = probe_signature
        functools.update_wrapper(self, function)
        self.definition = definition

    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Call the plain function."""
        return self._function(*args, **kwargs)

    async def run(self, params: Mapping[str, Any], context: ActionContext) -> Any:
        """Run the function with ``params`` and return its result as a JSON value."""
        result = await _call(self._function, self._signature.arguments(params, context))
        try:
            if isinstance(result, Labelled):
                return Labelled(to_jsonable_python(result.value), result.labels)
            return to_jsonable_python(result)
        except ValueError:  # it is done all the same: whoever asked sees that this is not JSON
            return result

    async def probe(self, params: Mapping[str, Any], context: ActionContext) -> ProbeAnswer:
        """Ask the probe function; without one, nobody can tell."""
        if self._probe is None or self._probe_signature is None:
            return CannotTell(f"{self.definition.id} has no probe.")
        wanted = {name: value for name, value in params.items() if name in self._probe_signature.names}
        answer = await _call(self._probe, self._probe_signature.arguments(wanted, context))
        if not isinstance(answer, Happened | DidNotHappen | CannotTell):
            raise TypeError(f"the probe of {self.definition.id} must return Happened, DidNotHappen or CannotTell")
        return Happened(to_jsonable_python(answer.result)) if isinstance(answer, Happened) else answer


def _read_probe(signature: Signature, retry: RetryMode, probe: Callable[..., Any] | None) -> Signature | None:
    if (probe is not None) != (retry is RetryMode.PROBE):
        raise ConfigurationError("retry='probe' and probe=<function> go together; give both or neither.")
    if probe is None:
        return None
    asked = read_signature(probe)
    if unknown := set(asked.names) - set(signature.names):
        raise ConfigurationError(f"its probe asks for {sorted(unknown)}, which the action does not take.")
    return asked


def _paragraph(text: str | None) -> str:
    """Return the first paragraph of a docstring on one line; blank if there is none."""
    return " ".join(inspect.cleandoc(text or "").partition("\n\n")[0].split())


def action(
    action_id: str,
    *,
    effect: Literal["read", "write"],
    retry: Literal["keyed", "probe", "none"] = "none",
    title: str | None = None,
    sentences: Sequence[str] = (),
    probe: Callable[..., Any] | None = None,
    primary_output: str | None = None,
    output_labels: Mapping[str, Label] | None = None,
    reversibility: str | None = None,
    groups: Sequence[str] = (),
    timeout_s: float = 60.0,
    max_attempts: int = 5,
    key_valid_s: float = 24 * 3600.0,
) -> Callable[[Callable[_P, _R]], FunctionAction[_P, _R]]:
    """Return a decorator that makes an action of a sync or async function.

    The signature becomes the input schema, the return annotation the output schema, the docstring's first paragraph the
    description; the other arguments are the fields of ``ActionDefinition`` of the same name. ``probe`` takes any of the
    action's parameters, and a context, and returns a ``ProbeAnswer``. Raises ``ConfigurationError`` while the module is
    imported if anything does not fit.
    """

    def decorate(function: Callable[_P, _R]) -> FunctionAction[_P, _R]:
        named = title or function.__name__.replace("_", " ").capitalize()
        try:
            if not is_action_id(action_id):
                raise ConfigurationError("its id must be 'provider.name' in lower case.")  # noqa: TRY301 - one wording for all
            signature = read_signature(function)
            retry_mode = RetryMode(retry)
            definition = ActionDefinition(
                id=action_id,
                title=named,
                description=_paragraph(function.__doc__) or named,
                input_schema=signature.input_schema,
                output_schema=signature.output_schema,
                effect=Effect(effect),
                retry=retry_mode,
                roles=signature.roles,
                output_labels=dict(output_labels or {}),
                primary_output=primary_output,
                reversibility=reversibility or ("no effect" if effect == "read" else "irreversible"),
                groups=frozenset(groups),
                timeout_s=timeout_s,
                max_attempts=max_attempts,
                key_valid_s=key_valid_s,
                sentences=tuple(sentences),
            )
            return FunctionAction(function, definition, signature, probe, _read_probe(signature, retry_mode, probe))
        except (ConfigurationError, ValueError) as error:
            detail = error.detail if isinstance(error, ConfigurationError) else str(error)
            raise ConfigurationError(f"The action {action_id!r} on {function.__qualname__}: {detail}") from error

    return decorate
