"""The programs of this folder: which there are, and how each starts and ends."""

import importlib
import os
import signal
import sys

from .command_line import to_install

COMMANDS = {
    "predict": "answers: MODEL.tflite and pictures, folders, or --camera",
    "verify": "replays the golden pictures beside MODEL.tflite",
    "benchmark": "latency and memory of MODEL.tflite on this machine",
    "serve": "a page with the answers of MODEL.tflite to camera and dropped pictures",
    "site": "a folder of static files, in whose page MODEL.tflite answers in the visitor's own browser",
}


def _interrupted(number, frame):
    signal.signal(number, signal.SIG_DFL)  # the next one need not wait
    sys.exit(128 + number)


def main(arguments, program):
    """Runs the command that the first argument names; `program` is what stands before it."""
    # At once: importing NumPy takes a Pi a second. SystemExit ends without a traceback wherever Ctrl-C comes.
    signal.signal(signal.SIGINT, _interrupted)
    if not arguments or arguments[0] not in COMMANDS:
        asked = arguments[:1] in ([], ["--help"], ["-h"])
        said = "" if asked else f"{program}: {arguments[0]!r} is no command\n"
        status = 0 if arguments and asked else 2
        to = sys.stderr if status else sys.stdout
        print(f"{said}usage: {program} COMMAND …; COMMAND --help tells more\n{listed(COMMANDS)}", file=to)
        sys.exit(status)
    try:
        command = importlib.import_module(f"{__package__}.{arguments[0]}")
    except ModuleNotFoundError as error:
        sys.exit(to_install(f"{program} {arguments[0]}", error))
    start(lambda: command.main(arguments[1:], f"{program} {arguments[0]}"))


def listed(texts):
    """Names and their texts, a line each."""
    width = max(map(len, texts))
    return "\n".join(f"  {name:{width}}  {text}" for name, text in texts.items())


def start(run):
    """Runs a program; no name of a file and no reader that leaves ends it with a traceback."""
    if sys.stdout is None:  # it was closed
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    sys.stdout.reconfigure(errors="backslashreplace")  # names of files may have any bytes
    try:
        try:
            run()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # as of `| head`; what is left to write has no reader
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
