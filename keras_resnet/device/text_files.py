"""Text files, UTF-8."""

from . import picture_files

SUFFIXES = (".txt",)
MOST = 1 << 24  # bytes


class TextError(ValueError):
    """A text that can't be read; the message says which and why."""


def find(paths):
    """The text files of given files and folders; see `picture_files.find`."""
    return picture_files.find(paths, SUFFIXES, "text")


def read(file, name, most=MOST):
    """What a text file says, a path or a binary file that messages call `name`, of so many bytes at most.

    Raises:
        TextError: it can't be opened, is too long, or no UTF-8.
    """
    try:
        if not hasattr(file, "read"):
            with open(file, "rb") as opened:
                return read(opened, name, most)
        content = file.read(most + 1)
        if len(content) > most:
            raise TextError(f"{name}: more than {most:,} bytes; cut it into parts")
        return content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise TextError(f"{name}: no text in UTF-8 ({error})") from error
