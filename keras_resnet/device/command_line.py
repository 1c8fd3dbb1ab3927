"""What the programs of this folder share: numbers from flags, a model from its file, how bad input ends them."""

import argparse
import importlib
import importlib.metadata
import math
import os
import sys

MOST_THREADS = max(64, os.cpu_count() or 1)  # LiteRT starts as many as it is told; thousands bring a machine down


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


def filled(text):
    """A path, as argparse types it; a variable of a shell that is not set makes an empty one."""
    if not text:
        raise argparse.ArgumentTypeError("got nothing, expected a path")
    return text


def load(parser, path, threads=1, labels=None):
    """The `Reader` of a file, with the labels of another; a sentence and exit status 2 where it can't be had."""
    return _loaded(parser, "reader", "Reader", path, threads, read_labels(parser, labels))


def load_tensors(parser, path, threads=1):
    """The `Tensors` of a file; a sentence and exit status 2 where they can't be had."""
    return _loaded(parser, "tensors", "Tensors", path, threads)


def _loaded(parser, module, kind, *arguments):
    try:
        kind = getattr(importlib.import_module(f".{module}", __package__), kind)
    except ModuleNotFoundError as error:
        sys.exit(to_install(parser.prog, error))
    try:
        return kind(*arguments)
    except (ValueError, OSError) as error:
        fail(parser, error)


def to_install(program, error):
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
