"""What the programs of this folder share: numbers from flags, a model from its file, and how they end."""

import argparse
import importlib.metadata
import math
import os
import signal
import sys

MOST_THREADS = max(64, os.cpu_count() or 1)  # LiteRT starts as many as it is told; thousands bring a machine down


def _interrupted(number, frame):
    signal.signal(number, signal.SIG_DFL)  # the next one need not wait
    sys.exit(128 + number)


# At once: importing NumPy takes a Pi a second. SystemExit ends without a traceback wherever Ctrl-C comes.
signal.signal(signal.SIGINT, _interrupted)


def start(main):
    """Runs a program's `main`; no name of a file and no reader that leaves ends it with a traceback."""
    if sys.stdout is None:  # it was closed
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    sys.stdout.reconfigure(errors="backslashreplace")  # names of files may have any bytes
    try:
        try:
            main()
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
    """The `Classifier` of a file; a sentence and exit status 2 where it can't be had."""
    try:
        from classifier import Classifier
    except ModuleNotFoundError as error:
        fail(parser, f"{error}; type pip install -r requirements.txt")
    try:
        return Classifier(path, threads, labels)
    except (ValueError, OSError) as error:
        fail(parser, error)


def fail(parser, error):
    """Ends the program for bad input."""
    parser.exit(2, f"{parser.prog}: {error}\n")


def litert_version():
    return importlib.metadata.version("ai-edge-litert")
