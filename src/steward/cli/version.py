"""``steward version``."""

import sys

from steward.cli.options import AsJson, about


@about("public")
def version(*, as_json: AsJson = False) -> None:
    """Print the version of this Steward.

    Example: steward version --json
    """
    from importlib.metadata import version as installed

    from steward.cli.render import print_json

    if as_json:
        print_json({"version": installed("steward")})
    else:
        sys.stdout.write(f"steward {installed('steward')}\n")
