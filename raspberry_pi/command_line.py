"""What the programs of this folder share: a number from a flag, a model from its file, and how they fail."""

import argparse
import importlib.metadata


def positive(text):
    """An integer of at least 1, as argparse types it."""
    number = int(text) if text.isascii() and text.isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a number from 1")
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
