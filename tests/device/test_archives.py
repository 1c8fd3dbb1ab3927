"""Archives of strangers: nothing in them is executed, none fills the memory."""

import pathlib
import resource
import zipfile

import numpy as np
import pytest

from keras_resnet.device import archives


class Touches:
    """What makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return pathlib.Path.touch, (self.path,)


def header(shape):
    """The beginning of a `.npy` file."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return np.lib.format.magic(1, 0) + len(text).to_bytes(2, "little") + text.encode()


def test_arrays_are_read_as_they_were_saved(tmp_path):
    path, saved = tmp_path / "a.npz", {"x": np.arange(6).reshape(2, 3), "text": np.array("ä")}
    for save in (np.savez, np.savez_compressed):
        save(path, **saved)
        arrays = archives.load_arrays(path)
        assert arrays.keys() == saved.keys() and arrays["text"] == "ä" and (arrays["x"] == saved["x"]).all()


def test_objects_are_not_unpickled(tmp_path):
    path, marker = tmp_path / "a.npz", tmp_path / "marker"
    np.savez(path, x=np.array([Touches(marker)], object))
    with pytest.raises(ValueError, match=r"broken arrays .*allow_pickle"):
        archives.load_arrays(path)
    assert not marker.exists()
    np.load(path, allow_pickle=True)["x"]
    assert marker.exists()


def test_a_header_that_asks_for_more_than_there_is(tmp_path):
    path = tmp_path / "a.npz"
    for shape in ((25 * 10**9,), (1 << 50,), (1 << 62, 4), (-1,)):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("x.npy", header(shape) + bytes(100))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(ValueError, match=r"broken arrays \("):
            archives.load_arrays(path)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kilobytes that were touched


def test_an_archive_that_would_fill_the_memory(tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", bytes(1000))
    content, size = path.read_bytes(), (1000).to_bytes(4, "little")
    assert content.count(size) == 2  # in the file's own header and in the directory
    path.write_bytes(content.replace(size, (3 << 30).to_bytes(4, "little")))
    with pytest.raises(ValueError, match="1 files that unpack to 3,221,225,472 bytes; expected at most"):
        archives.check(path)
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(archives.MOST_ENTRIES + 1):
            archive.writestr(str(i), b"")
    with pytest.raises(ValueError, match="100,001 files that unpack to 0 bytes; expected at most 100,000"):
        archives.check(path)


def test_what_hardly_shrank_may_be_large(tmp_path, monkeypatch):
    path, noise = tmp_path / "a.npz", np.random.default_rng(0).bytes(5000)
    monkeypatch.setattr(archives, "ROOM", 4000)
    for content, most in ((noise, None), (bytes(3000), None), (bytes(5000), "4,000")):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("x", content)
        if most:
            with pytest.raises(ValueError, match=f"unpack to 5,000 bytes; expected at most .* and {most} bytes"):
                archives.check(path)
        else:
            archives.check(path)


@pytest.mark.parametrize("content", [b"", b"no zip", header((3,)) + bytes(12), b"PK\5\6" + bytes(17)])
def test_no_archive(tmp_path, content):
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="no zip archive"):
        archives.load_arrays(path)


def test_a_file_among_arrays_that_is_none(tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "a text")
    with pytest.raises(ValueError, match=r"'notes.txt' is no array"):
        archives.load_arrays(path)


def test_a_file_that_is_not_there_is_no_broken_one(tmp_path):
    with pytest.raises(FileNotFoundError):
        archives.load_arrays(tmp_path / "a.npz")
