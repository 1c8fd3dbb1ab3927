"""Files that are there whole or not at all."""

import contextlib
import hashlib
import json
import os
import pathlib
import tempfile


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
    except OSError as error:
        if error.errno and not error.filename:  # a full disk says no name
            error.filename = str(path)
        raise
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(temporary)


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


def read_json(path):
    """Reads a JSON file."""
    return json.loads(pathlib.Path(path).read_text(encoding="utf-8"))


def sha256(path):
    """SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
