"""Zip archives, and NumPy's `.npz`, which are such: of a stranger's, nothing is unpacked that would fill the memory."""

import os
import zipfile

import numpy as np

# What one unpacks to, at most: a gigabyte, or twenty times its own size. Weights hardly shrink when they are packed.
ROOM, TIMES = 1 << 30, 20
MOST_ENTRIES = 100_000  # a checkpoint of the deepest network has one for each array


def check(path):
    """Refuses a zip archive that would fill the memory, by what its directory says; `zipfile` reads no more than that.

    Raises:
        ValueError: it would, or is no zip.
        OSError: there is no such file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = [entry.file_size for entry in archive.infolist()]
    except OSError:
        raise
    except Exception as error:  # of many kinds, for each damage of a directory
        raise ValueError(f"no zip archive ({str(error) or type(error).__name__})") from error
    most = max(ROOM, TIMES * os.path.getsize(path))
    if sum(sizes) > most or len(sizes) > MOST_ENTRIES:
        raise ValueError(
            f"a zip archive of {len(sizes):,} files that unpack to {sum(sizes):,} bytes; expected at most "
            f"{MOST_ENTRIES:,} files and {most:,} bytes"
        )


def load_arrays(path):
    """Name -> array of a `.npz` file, of which nothing is executed.

    Raises:
        ValueError: it is none, a broken one, or one that would fill the memory.
        OSError: there is no such file.
    """
    check(path)
    try:
        with np.load(path, allow_pickle=False) as saved:
            arrays = dict(saved)
    except Exception as error:  # of many kinds: a zip's, NumPy's; memory that an array's header asks for
        raise ValueError(f"broken arrays ({str(error) or type(error).__name__})") from error
    if odd := [name for name, array in arrays.items() if not isinstance(array, np.ndarray)]:
        raise ValueError(f"{odd[0]!r} is no array of NumPy's")
    return arrays
