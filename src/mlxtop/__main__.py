"""`python -m mlxtop`, and what the installed `mlxtop` calls."""

import gc
import io
import sys


def main() -> None:
    """Runs the command line. What a person is meant to read ends in one line on standard error."""
    sys.exit(_run())


def _run() -> int:
    # What is imported is no garbage. A command enables the collector again, and so does the first frame.
    gc.disable()
    # Imported here, so that Ctrl-C while Python is still importing ends as quietly as later.
    try:
        import click

        from mlxtop.cli import streams
        from mlxtop.cli.hard_exit import show, tell
        from mlxtop.cli.main import cli
        from mlxtop.core.errors import MlxtopError
    except KeyboardInterrupt:
        return 130
    streams.open_closed()
    try:
        code = int(cli.main(prog_name="mlxtop", standalone_mode=False) or 0)
        streams.flush()
        return code
    except click.ClickException as error:
        # Beside its usage, click repeats what was typed.
        shown = io.StringIO()
        error.show(shown)
        show(shown.getvalue())
        return error.exit_code
    except MlxtopError as error:
        tell(str(error))
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130


if __name__ == "__main__":
    main()
