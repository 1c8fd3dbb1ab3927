"""The contract's rows of tables: bytes by hand, files in many forms, what is refused."""

import base64
import io
import json
import math

import numpy as np
import pytest

import keras_resnet
from export import conversion, golden, metadata
from keras_resnet.device import benchmark, predict, serve, site, verify
from keras_resnet.device.classes import Classes
from keras_resnet.device.contract import INPUTS, Contract, parse, read
from keras_resnet.device.csv_files import RowError, delimiter, number
from keras_resnet.device.reader import Reader
from keras_resnet.device.row import Category, Number, Row

OUTPUT = {"kind": "classes", "labels": ["no", "yes"], "scores": "logits"}
ROW = Row((Number("size", 10.0, 2.0), Category("colour", ("blue", "red")), Number("weight", -1.0, 0.5)))


def made(*cells, row=ROW):
    pixels = row.pixels(cells)
    assert pixels.dtype == np.uint8 and pixels.shape == row.shape == (1, row.size, 1)
    return pixels.ravel().tolist()


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (("10", "red", "-1"), [128, 128, 255, 128]),  # means
        (("12", "blue", "-0.5"), [160, 255, 128, 160]),  # a deviation is 32
        (("8", "green", "-1.5"), [96, 128, 128, 96]),  # a value that training has not seen
        (("", "", ""), [128, 128, 128, 128]),
        (("18", "Red", "-3"), [255, 128, 128, 0]),  # four deviations, of which the byte above has no room
        (("1e308", " red ", "-1.e+3"), [255, 128, 255, 0]),
        ((" +10.03125 ", "red", "-.9921875"), [128, 128, 255, 128]),  # 128.5 both: ties to even
        (("10.09375", "red", "-0.9765625"), [130, 128, 255, 130]),  # 129.5
    ],
)
def test_bytes_by_hand(cells, expected):
    assert made(*cells) == expected


def test_bytes_are_the_int8_input():
    x = ROW.scaled(np.arange(256, dtype=np.uint8)[:, None])
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x[:, 0] * 128, np.arange(-128, 128))


def test_words_are_what_a_network_reads():
    for cells, said in (
        (("12", "red", "-0.5"), "size 12, colour red, weight -0.5"),
        (("99", "pink", ""), "size 17.94, colour …, weight -1"),
    ):
        assert ROW.words(ROW.scaled(ROW.pixels(cells))) == said


def test_what_is_a_number():
    for cell, value in {"5": 5, "-2.50": -2.5, ".5": 0.5, "5.": 5, "+1E-3": 0.001, "007": 7}.items():
        assert number(cell) == value
    for cell in ("", "NA", "nan", "inf", "1_000", "1e999", "0x10", "1,5", "e5", ".", "--1", "5 6", "\u0665", "1e5.5"):
        assert number(cell) is None
    assert number("1" * 100_000 + "x") is None  # and at once
    with pytest.raises(RowError, match=r"column 'size' has 'NA'; expected a number"):
        ROW.pixels(("NA", "red", "1"))


def test_columns_are_found_by_their_names():
    text = "weight,label,size,colour\r\n-0.5,big,12,blue\r\n\r\n,,,\r\n"
    assert ROW.rows(io.BytesIO(text.encode()), "t") == [
        ("t, row 2", ["12", "blue", "-0.5"], ""),
        ("t, row 4", ["", "", ""], ""),
    ]
    semicolons = '\ufeff"weight"; size ;colour;note\n-0.5;12;blue;"a, b"\n1;2\n'
    first, second = ROW.rows(io.BytesIO(semicolons.encode()), "t.csv")
    assert first.cells == ["12", "blue", "-0.5"] and second.wrong == "2 cells, its header has 4"
    with pytest.raises(RowError, match=r"t\.csv, row 3: 2 cells, its header has 4"):
        ROW.read(second, second)
    assert [delimiter(text) for text in ('"a;b",c', "a;b,c", "a,b;c", "a", "", '"a""b";c', "a\nb;c")] == [*",;,,,;,"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "its header has 'size' not once"),
        (b"size,colour\n1,red\n", "its header has 'weight' not once, but size, colour"),
        (b"size,colour,weight,size\n1,red,2,1\n", "its header has 'size' not once, but size, colour, weight, size"),
        (b"size,colour,weight\n", "0 rows, expected one below a header; keras-resnet predict answers each"),
        (b"size,colour,weight\n1,red,2\n1,red,2\n", "2 rows, expected one"),
        (b"size,colour,weight\n1,red\n", "row 2: 2 cells, its header has 3"),
        (b"size,colour,weight\nx,red,2\n", "column 'size' has 'x'"),
        (b'size,colour,weight\n1,"red,2\n', "line 2: unexpected end of data"),
        (b"size\xff", "no text in UTF-8"),
    ],
)
def test_files_of_something_else_are_a_sentence(content, said):
    with pytest.raises(ValueError, match=said) as raised:
        ROW.read(io.BytesIO(content), "rows.csv")
    assert str(raised.value).startswith("rows.csv")


def test_files_of_one_row_are_read_as_they_were(tmp_path):
    odd = Row((Category('a;"b', ('x,"y', "z\nz")), Number(",", 0.0, 1.0)))
    for cells in (('x,"y', "1"), ("z\nz", ""), ("", "-2")):
        np.testing.assert_array_equal(odd.read(io.BytesIO(odd.file(cells)), "golden"), odd.pixels(cells))
    alone = Row((Number("x", 0.0, 1.0),))
    assert made("", row=alone) == alone.read(io.BytesIO(alone.file([""])), "golden").ravel().tolist() == [128]
    (tmp_path / "a.csv").write_bytes(ROW.file(("12", "red", "")))
    assert ROW.find([tmp_path]) == [(f"{tmp_path / 'a.csv'}, row 2", ["12", "red", ""], "")]
    (tmp_path / "b.csv").write_bytes(b"size\n1\n")
    assert ROW.find([tmp_path])[1:] == [tmp_path / "b.csv"]
    pixels, size = ROW.read_sized(tmp_path / "a.csv", "a")
    assert pixels.ravel().tolist() == [160, 128, 255, 128] and size is None and ROW.place(None) is None


def test_the_contract_keeps_it():
    contract = Contract(ROW, Classes(("no", "yes")))
    saved = json.loads(json.dumps(contract.as_json()))
    assert saved["version"] == 2 and saved["input"]["columns"][1] == {"name": "colour", "values": ["blue", "red"]}
    assert "ties to even" in saved["input"]["rules"]["byte of a number"]
    assert parse(saved) == contract and contract.shape == (1, 4, 1) and INPUTS["row"] is Row
    saved["input"]["columns"][0]["later"] = 1  # what a newer one may say besides
    assert parse(saved) == contract


@pytest.mark.parametrize(
    "columns",
    [
        [],
        [{"name": "x", "mean": 0, "deviation": 0}],
        [{"name": "x", "mean": 0, "deviation": -1}],
        [{"name": "x", "mean": math.nan, "deviation": 1}],
        [{"name": "x", "mean": 0, "deviation": math.inf}],
        [{"name": "x", "mean": "0", "deviation": 1}],
        [{"name": "x", "mean": True, "deviation": 1}],
        [{"name": "x", "mean": 10**400, "deviation": 1}],
        [{"name": "x", "mean": 0}],
        [{"name": "", "mean": 0, "deviation": 1}],
        [{"name": " x", "mean": 0, "deviation": 1}],
        [{"name": 3, "mean": 0, "deviation": 1}],
        [{"name": "x", "mean": 0, "deviation": 1}] * 2,
        [{"name": "x", "values": []}],
        [{"name": "x", "values": "ab"}],
        [{"name": "x", "values": ["a", "a"]}],
        [{"name": "x", "values": ["a", ""]}],
        [{"name": "x", "values": ["a", 1]}],
        [{"name": "x", "values": 5}],
        [{"name": "x", "values": ["a "]}],
        "columns",
        5,
        [None],
    ],
)
def test_columns_that_cannot_be_are_refused(columns):
    text = json.dumps({"version": 2, "input": {"kind": "row", "columns": columns}, "output": OUTPUT})
    with pytest.raises(ValueError):
        read(text)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """An int8 file of rows, its golden examples beside it, and its simulation; what it learned is nothing."""
    from keras_resnet.networks.resnet import ResNet
    from keras_resnet.quantization import quantize_aware

    rng = np.random.default_rng(0)
    cells = [(f"{rng.normal(10, 2):.2f}", ("red", "blue", "")[i % 3], f"{rng.normal(-1, 0.5):.2f}") for i in range(32)]
    pixels = np.stack([ROW.pixels(one) for one in cells])
    network = ResNet(8, ROW.shape, 2, width=0.25, axes=ROW.axes)
    model = quantize_aware(network, ROW.scaled(pixels))
    contract, path = Contract(ROW, Classes(("no", "yes"))), tmp_path_factory.mktemp("rows") / "rows.tflite"
    content = conversion.convert("int8-qat", model, ROW.scaled(pixels))
    path.write_bytes(metadata.embed(content, contract, metadata.Card("rows")))
    golden.write(path, Reader(path), [ROW.file(one) for one in cells[:4]])
    return path, model, cells


def test_the_file_is_its_simulation_and_its_golden_examples_are_replayed(exported, capsys):
    path, model, cells = exported
    reader = Reader(path)
    assert reader.contract.input == ROW and reader.input["dtype"] == np.uint8
    for one in cells:
        tensor = reader.prepare(io.BytesIO(ROW.file(one))).tensor
        np.testing.assert_array_equal(tensor, ROW.pixels(one))
        expected = model.predict_on_batch(ROW.scaled(tensor)[None])[0]
        made, step = reader.dequantize(reader.invoke(tensor)), reader.output["quantization"][0]
        np.testing.assert_allclose(made, expected, atol=step / 1000)  # the same step of int8
    with pytest.raises(SystemExit, match="False"):
        verify.main([str(path)], "verify")
    assert "4/4 identical" in capsys.readouterr().out
    saved = json.loads(path.with_suffix(".golden.json").read_text())["rows"]
    assert len(saved) == 4 and base64.b64decode(saved[0]["csv"]) == ROW.file(cells[0])
    with np.load(path.with_suffix(".golden.npz")) as arrays:
        assert arrays["row00"].tobytes() == ROW.file(cells[0])
    benchmark.main([str(path), "--seconds=0.01", "--threads=1"], "benchmark")
    said = capsys.readouterr()
    assert json.loads(said.out)["preprocessing_ms"] > 0 and "preprocessing of a row of 4 bytes" in said.err


def test_from_python_it_takes_a_file_of_one_row_or_each_of_many(exported, tmp_path):
    path, table = exported[0], tmp_path / "one_row.csv"
    model, whole = keras_resnet.load(path), []
    for cells in (("17", "red", "-1"), ("8", "", "")):
        table.write_bytes(ROW.file(cells))
        whole.append(model.predict_picture(str(table)))
        assert whole[-1] == Reader(path).predict(io.BytesIO(ROW.file(cells)))
    table.write_text("weight,colour,size\n-1,red,17\n,,8\n")
    assert [model.predict_picture(row) for row in model.contract.input.find([table])] == whole
    with pytest.raises(ValueError, match="2 rows, expected one below a header"):
        model.predict_picture(table)


def predicted(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        predict.main(list(map(str, arguments)), "predict")
    return ended.value.code, *capsys.readouterr()


def test_predict_answers_each_row(exported, tmp_path, capsys):
    path, _, _ = exported
    table = tmp_path / "new.csv"
    table.write_text("weight;note;colour;size\n-1;?;red;17\nNA;?;red;17\n\n1;2\n;?;pink;8\n")
    status, out, err = predicted(capsys, path, table, "--json")
    answers, reader = list(map(json.loads, out.splitlines())), Reader(path)
    assert status == 1 and [one["row"] for one in answers] == [f"{table}, row {i}" for i in (2, 6)]
    assert f"skipped: {table}, row 3: column 'weight' has 'NA'" in err and "row 5: 2 cells, its header has 4" in err
    for one, cells in zip(answers, (("17", "red", "-1"), ("8", "", "")), strict=True):
        shown = reader.predict(io.BytesIO(ROW.file(cells)))
        assert one["top"][0]["label"] == shown.top[0][0]
        assert one["top"][0]["probability"] == pytest.approx(shown.top[0][1], abs=1e-6)
    table.write_text("size,colour,weight\n1,red,2\n")
    status, out, err = predicted(capsys, path, tmp_path, "--csv", "--top=1")
    assert status == 0 and out.splitlines()[0] == "row,preprocessing_ms,inference_ms,label1,probability1"
    assert out.splitlines()[1].startswith(f'"{table}, row 2",') and len(out.splitlines()) == 2
    table.write_text("size,weight\n1,2\n")
    status, _, err = predicted(capsys, path, table)
    assert status == 1 and err.count("skipped") == 1 and "its header has 'colour' not once, but size, weight" in err


def test_what_is_of_other_things_is_refused(exported, tmp_path, capsys):
    path, _, _ = exported
    table = tmp_path / "new.csv"
    table.write_bytes(ROW.file(("12", "red", "")))
    (tmp_path / "empty").mkdir()
    for given, said in (
        (["--text=x"], "--text: this model takes rows; give files"),
        (["--camera"], "this model takes rows, not pictures"),
        ([table, "--draw=x"], "this model takes rows, nothing can be drawn over them"),
        ([table, "--coco"], "--coco: this model answers with classes"),
        ([table, "--stream"], "expected one of sounds and classes"),
        ([tmp_path / "empty"], "no table in this folder; expected files as .csv"),
    ):
        status, _, err = predicted(capsys, path, *given)
        assert status == 2 and said in err
    for main, more in ((serve.main, ()), (site.main, (f"--output={tmp_path / 'site'}",))):
        with pytest.raises(SystemExit, match="2"):
            main([str(path), *more], "page")
        said = capsys.readouterr().err
        assert said == f"page: {path}: {serve.no_page(ROW)}\n" and "it takes rows, a page one file" in said
    assert not (tmp_path / "site").exists()
