"""Files that are there whole or not at all."""

import contextlib
import hashlib
import json
import os
import pathlib
import re
import tempfile

from keras_resnet.device.contract import DAMAGES

RESTORE = "restore it from a copy, or train anew in an empty folder"  # a file that only a training makes


@contextlib.contextmanager
def atomic(path):
    """Yields a temporary path beside `path`, with its suffix, that replaces it if the block ends without an error."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    try:
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        if error.errno and not error.filename:  # a full disk says no name
            error.filename = str(path)
        raise
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(temporary)


def _sync_folder(folder):
    """Makes a rename outlive a loss of power, where the file system can."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sweep(folder, names):
    """Removes what a kill in `atomic` left of files called `names` in a folder, while nobody else writes them there.

    `*.png` are all of a kind.
    """
    for name in map(pathlib.Path, names):
        stem = ".+" if name.stem == "*" else re.escape(name.stem)
        pattern = re.compile(rf"\.{stem}-[a-z0-9_]{{8}}{re.escape(name.suffix)}")
        for path in pathlib.Path(folder).glob(f".{name.stem}-*{name.suffix}"):
            if pattern.fullmatch(path.name):
                path.unlink()


def write_bytes(path, content):
    """Writes bytes atomically."""
    with atomic(path) as temporary:
        pathlib.Path(temporary).write_bytes(content)


def write_text(path, text):
    """Writes `text` atomically."""
    write_bytes(path, text.encode())


def write_json(path, value):
    """Writes `value` as indented JSON, atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path, advice="restore it from a copy"):
    """Reads a JSON file that holds an object.

    Raises:
        ValueError: it holds something else; the message ends with the advice.
    """
    with understood(path, advice):
        value = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        if not isinstance(value, dict):
            raise ValueError(f"expected an object, found {type(value).__name__}")
        return value


@contextlib.contextmanager
def understood(path, advice="restore it from a copy"):
    """Names the file of a run that is missing, or whose content the block can't make sense of.

    Raises:
        ValueError: it can't; the message ends with the advice.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise ValueError(f"{path}: this file is missing; {RESTORE}") from error
    except DAMAGES as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else error
        raise ValueError(f"{path}: this file is broken, or of another version ({reason}); {advice}") from error


def sha256(path):
    """SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
