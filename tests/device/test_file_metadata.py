"""What the reader finds in a file besides the network: standard metadata, labels, a zip, and damages of them."""

import tracemalloc
import zipfile

import flatbuffers
import numpy as np
import pytest
from edge import INT8, ROOT, bare

from export.flatbuffer import floats, offsets, table
from export.metadata import append_files
from keras_resnet.device import archives
from keras_resnet.device.metadata import (
    _Table,
    read_contract,
    read_files,
    read_normalization,
    saved_contract,
    shown_normalization,
)
from keras_resnet.device.reader import Reader


@pytest.mark.parametrize(
    ("dtype", "scale", "zero", "mean", "std"),
    [
        (np.int8, 1.0, -128, 0, 1),  # MLPerf Tiny's: pixels as they are
        (np.uint8, 1 / 256, 0, 0, 256),
        (np.int8, 1 / 128, 0, 128, 128),  # ours
        (np.uint8, 0.0, 0, 0, 1),  # a network that casts whole numbers itself
        (np.int16, 1 / 32768, 0, 127.5, 127.5),
        (np.float32, 0.0, 0, 127.5, 127.5),
    ],
)
def test_what_the_numbers_of_an_input_show(dtype, scale, zero, mean, std):
    assert shown_normalization({"dtype": dtype, "quantization": (scale, zero)})[0] == (mean, std)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("\n".join("abcdefghij"), True),
        ("\ufeff" + "\r\n".join("abcdefghij") + "\r\n", True),
        ("\n".join("abcdefghi\x85"), True),  # no line ends here
        ("\n".join("abcdefghi") + "\n\n", True),  # a class without a name, but ten lines
        ("\n".join("abcdefghi"), False),
        ("\n".join("abcdefghijk"), False),  # a background class before or behind, who knows?
        ("", False),
    ],
)
def test_foreign_labels_count_only_if_they_are_as_many_as_the_classes(models, tmp_path, text, named, capsys):
    path = tmp_path / "foreign.tflite"
    path.write_bytes(append_files(bare(models), {"labels.txt": text}))
    labels = Reader(path).contract.labels
    said = capsys.readouterr().err
    if named:
        assert labels[:9] == tuple("abcdefghi") and len(labels) == 10 and not said
    else:
        assert labels == tuple("0123456789")
        count = len(text.split()) if text else 0
        assert f"it has {count} labels for 10 classes; numbers stand for classes (--labels names them)" in said
        assert Reader(path, labels=list("klmnopqrst")).contract.labels[0] == "k"
        assert "labels" not in capsys.readouterr().err


def test_labels_that_are_not_utf_8_are_names_with_a_mark(models, tmp_path, capsys):
    path = tmp_path / "foreign.tflite"
    path.write_bytes(bare(models))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("labels.txt", "\n".join(["äpple", *"bcdefghij"]).encode("latin-1"))
    assert Reader(path).contract.labels[:2] == ("\ufffdpple", "b") and not capsys.readouterr().err


def test_a_zip_behind_a_model_that_would_fill_the_memory(models, tmp_path):
    path = tmp_path / "bomb.tflite"
    kinds = ((zipfile.ZIP_DEFLATED, 200, "more than 16,777,216 bytes"), (zipfile.ZIP_BZIP2, 1, "phones can't"))
    for kind, size, sentence in kinds:
        path.write_bytes(bare(models))
        with zipfile.ZipFile(path, "a", kind) as archive:
            archive.writestr("notes", bytes(1 << 20))
            archive.writestr("labels.txt", bytes(size << 20))
        assert path.stat().st_size < 400_000
        tracemalloc.start()
        with pytest.raises(ValueError, match=f"bomb.tflite: the zip behind the model can't be used .*{sentence}"):
            read_files(path)
        assert tracemalloc.get_traced_memory()[1] < 80 << 20
        tracemalloc.stop()


def test_a_zip_behind_a_model_of_too_many_files(tmp_path):
    path = tmp_path / "many.tflite"
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(archives.MOST_ENTRIES + 1):
            archive.writestr(str(i), b"")
    with pytest.raises(ValueError, match=r"many\.tflite: the zip behind the model .*it holds 100,001 files, more than"):
        read_files(path)


def metadata_file(standard):
    """A model's bytes that hold nothing but the standard's metadata, whose bytes are given, or None."""
    b = flatbuffers.Builder(0)
    data = b.CreateByteVector(standard) if standard else None
    buffers = offsets(b, [table(b, 1, {}), table(b, 1, {0: data} if data else {})])
    entry = table(b, 2, {0: b.CreateString("TFLITE_METADATA")}, None, {1: 1})
    b.Finish(table(b, 7, {4: buffers, 6: offsets(b, [entry])}), file_identifier=b"TFL3")
    return bytes(b.Output())


def units(*kinds):
    """The standard's metadata of one input with process units: kind -> means, or None for a unit without options."""
    b = flatbuffers.Builder(0)
    made = []
    for kind, means in kinds:
        options = {} if means is None else {1: table(b, 2, dict.fromkeys((0, 1), floats(b, means)))}
        made.append(table(b, 2, options, {0: kind}))
    picture = table(b, 7, {4: offsets(b, made)})
    graph = table(b, 10, {2: offsets(b, [picture])})
    b.Finish(table(b, 8, {3: offsets(b, [graph])}))
    return bytes(b.Output())


def test_metadata_that_says_less_than_ours(models):
    content = bare(models)
    assert read_normalization(content) == ([128.0], [128.0])
    assert read_normalization(content.replace(b"TFLITE_METADATA", b"OTHER__METADATA")) is None
    b = flatbuffers.Builder(0)
    b.Finish(table(b, 8, {0: b.CreateString("a name")}))
    for standard in (None, bytes(b.Output()), units(), units((2, [1.0])), units((1, None))):
        assert read_normalization(metadata_file(standard)) is None
    assert read_normalization(metadata_file(units((2, [1.0]), (1, [3.0])))) == ([3.0], [3.0])
    mean, _ = read_normalization(metadata_file(units((1, [1.0, 2.0, 3.0]))))
    assert mean == [1, 2, 3]


@pytest.mark.parametrize("means", [[], [1.0, 2.0], [0.0], [float("nan")]])
def test_a_scale_that_no_picture_can_have(tmp_path, means):
    path = tmp_path / "foreign.tflite"
    path.write_bytes(metadata_file(units((1, means))))
    with pytest.raises(ValueError, match=r"foreign\.tflite: what it says of its pictures can't be \("):
        read_contract(path, saved_contract(path), (32, 32, 3), [(10,)])


def test_a_damaged_file_never_ends_in_another_error(models, tmp_path, capsys):
    rng = np.random.default_rng(0)
    whole, path, refused = (models / INT8).read_bytes(), tmp_path / "damaged.tflite", 0
    start = whole.index(b"PK\x03\x04")
    for turn in range(500):
        content = bytearray(whole if turn % 2 else whole[:start])
        places = rng.integers(0, 3000, 20)  # most of what is read lies at both ends
        for place in np.where(rng.integers(0, 2, 20), places, len(content) - 1 - places):
            content[place] = rng.integers(0, 256)
        path.write_bytes(content[: rng.integers(1, len(content))] if turn % 10 == 0 else content)
        try:
            read_contract(path, saved_contract(path), (32, 32, 3), [(10,)])
        except ValueError as error:
            assert str(error).startswith(f"{path}: ")
            refused += 1
    assert 100 < refused < 500


def test_a_network_that_litert_opens_and_cannot_run(tmp_path):
    content = bytearray((ROOT / "tests" / "files" / "version1" / "export" / "resnet8-int8-qat.tflite").read_bytes())
    weights = _Table.root(content, 0).vector(2)[0].vector(0)[1]
    place = weights._slot(2)
    content[place : place + 4] = bytes(4)  # of buffer 0, which is empty
    path = tmp_path / "empty.tflite"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"LiteRT can't run this network \(Input tensor 1 lacks data\)"):
        Reader(path).run(np.zeros((32, 32, 3), np.uint8))
