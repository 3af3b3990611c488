"""Actions whose names, words and errors are as long and as odd as they may be: what tables have to stand."""

from typing import Annotated

from steward.action import ActionFailed
from steward.actions import Content, Destination, action

LONG_NAME = "an_action_whose_name_is_as_long_as_people_make_them_when_nobody_says_no"
CODE = "a_code_that_says_everything_there_is_to_say_about_what_was_wrong"


@action(f"wide.{LONG_NAME}", effect="write", retry="none", sentences=["widen [{to:text}]"])
def widen(
    to: Annotated[str, Destination] = "",
    a_parameter_with_a_very_long_name_indeed_which_goes_on: Annotated[str, Content] = "",
) -> None:
    """Fail, with a code and a sentence that are long, and say so in a description that does not fit on a line either."""
    raise ActionFailed(CODE, "It went wrong in the most circumstantial way, \x1b[31mtwice\x07. " * 3)


@action("wide.echo", effect="read", sentences=["echo {text:text}"])
def echo(text: Annotated[str, Content]) -> dict[str, str]:
    """Return what it was given, many times."""
    return {"said": text * 20, "bell": "\x1b[2J\x07"}
