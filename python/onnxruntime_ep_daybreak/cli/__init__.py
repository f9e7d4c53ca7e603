"""The `daybreak` command. Each subcommand is a module of its own."""

from __future__ import annotations

import os
import sys

import typer

from ..errors import DaybreakError
from . import bench, chat, convert, explain, generate, info, profile, run, tune

TRACEBACK_VARIABLE = "DAYBREAK_TRACEBACK"

cli = typer.Typer(
    name="daybreak",
    help="Run ONNX models and language models on WebGPU through ONNX Runtime.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for module in (info, convert, generate, chat, run, explain, bench, profile, tune):
    cli.command(module.__name__.rpartition(".")[2])(module.command)


def app() -> None:
    """Entry point: an error becomes one line on stderr and an exit code other than 0."""
    try:
        code = cli(standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as e:
        sys.exit(_report(e))
    sys.exit(code if isinstance(code, int) else 0)


def _report(error: Exception) -> int:
    """Prints an error and returns the exit code; with DAYBREAK_TRACEBACK set, raises it again."""
    usage = getattr(error, "format_message", None)
    if usage is not None:
        print(f"error: {usage() or 'a command is needed; see --help'}", file=sys.stderr)
        return int(getattr(error, "exit_code", 2))
    if os.environ.get(TRACEBACK_VARIABLE, "0") != "0":
        raise error
    text = " ".join(str(error).split()) or type(error).__name__
    hint = "" if isinstance(error, DaybreakError) else f" ({TRACEBACK_VARIABLE}=1 shows where)"
    print(f"error: {text}{hint}", file=sys.stderr)
    return 1
