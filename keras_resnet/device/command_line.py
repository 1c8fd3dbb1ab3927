"""What the programs of this folder share: which there are, numbers from flags, a model from its file, how they end."""

import argparse
import importlib
import importlib.metadata
import math
import os
import signal
import sys

COMMANDS = {
    "predict": "answers: MODEL.tflite and pictures, folders, or --camera",
    "verify": "replays the golden pictures beside MODEL.tflite",
    "benchmark": "latency and memory of MODEL.tflite on this machine",
    "serve": "a page with the answers of MODEL.tflite to camera and dropped pictures",
}
MOST_THREADS = max(64, os.cpu_count() or 1)  # LiteRT starts as many as it is told; thousands bring a machine down


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
        sys.exit(_to_install(f"{program} {arguments[0]}", error))
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


def positive(text):
    """An integer of at least 1, as argparse types it."""
    number = int(text) if text.isascii() and text.isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a number from 1")
    return number


def threads(text):
    """A number of threads, as argparse types it."""
    number = positive(text)
    if number > MOST_THREADS:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected at most {MOST_THREADS}")
    return number


def seconds(text):
    """A positive time, as argparse types it."""
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected seconds, as 5")
    return number


def load(parser, path, threads=1, labels=None):
    """The `Reader` of a file, with the labels of another; a sentence and exit status 2 where it can't be had."""
    try:
        from .reader import Reader
    except ModuleNotFoundError as error:
        sys.exit(_to_install(parser.prog, error))
    try:
        return Reader(path, threads, read_labels(parser, labels))
    except (ValueError, OSError) as error:
        fail(parser, error)


def _to_install(program, error):
    """Says which package is missing, and how to get all; returns the exit status."""
    print(f"{program}: {error}; type pip install ai-edge-litert numpy pillow tqdm", file=sys.stderr)
    return 2


def read_labels(parser, path):
    """Class names of a file, one a line, or None without one; a byte order mark and empty lines at the end are none."""
    if path is None:
        return None
    try:
        with open(path, encoding="utf-8-sig") as file:
            names = [line.strip() for line in file.read().rstrip().split("\n")]
    except (OSError, UnicodeDecodeError) as error:
        fail(parser, f"--labels={path}: {error}; expected a text file with one class name a line")
    if "" in names:
        fail(parser, f"--labels={path}: line {names.index('') + 1} is empty; expected a class name a line")
    return names


def fail(parser, error):
    """Ends the program for bad input."""
    parser.exit(2, f"{parser.prog}: {error}\n")


def litert_version():
    return importlib.metadata.version("ai-edge-litert")
