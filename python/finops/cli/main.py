"""The entry point `finops`: errors become one line and an exit code.

Exit codes: 0 done, 1 an error of finops, 2 wrong usage, 75 paused at the budget; `finops run` ends
with the code of its command.
"""

from __future__ import annotations

import contextlib
import sys
from typing import NoReturn

EXIT_ERROR = 1
EXIT_USAGE = 2


def main() -> None:
    """Run the command line of this process."""
    try:
        import rich  # noqa: F401 - only whether it is there
        import typer  # noqa: F401
    except ImportError:
        _fail("the command line needs: pip install 'finops-train[cli]'", EXIT_USAGE)
    from finops.errors import FinopsError

    from .app import app

    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        app(prog_name="finops")
    except FinopsError as error:
        from .render import print_error

        print_error(str(error))
        sys.exit(EXIT_ERROR)
    except UnicodeDecodeError as error:  # only the ledger and the live pages hold such texts
        _fail(f"error: a name in the ledger is no UTF-8 ({error}); see: finops ledger verify", 1)


def _fail(message: str, exit_code: int) -> NoReturn:
    print(message, file=sys.stderr)
    sys.exit(exit_code)


if __name__ == "__main__":
    main()
