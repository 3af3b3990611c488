"""The command line: one file per noun. It speaks to a server over HTTP, or to this machine's own database for keys.

Nothing heavy is imported until a command needs it, so that ``steward --help`` is instant.
"""


def main() -> None:
    """Run the command line and leave the process with its exit code."""
    from steward.cli.app import run

    run()
