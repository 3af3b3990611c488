"""The command line: one file per noun. It speaks to a server over HTTP, or to this machine's own database for keys.

Nothing heavy is imported until a command needs it, so that ``steward --help`` is instant.
"""

import sys


def main() -> None:
    """Run the command line and leave the process with its exit code."""
    try:
        from steward.cli.app import run

        run()
    except KeyboardInterrupt:  # before anything was ready to say more about it
        from steward.cli.exits import ExitCode

        sys.exit(ExitCode.INTERRUPTED)
