"""Tables of rows as data: which folders hold one, what columns are, what is refused."""

import csv
import dataclasses
import statistics

import numpy as np
import pytest
from small_sets import write_reviews, write_rows

from keras_resnet import files, layouts, recipes, runs, tasks
from keras_resnet.data import DataError, check
from keras_resnet.data.loading import load_dataset
from keras_resnet.device.row import Category, Number

SPLITS = ("train", "validation", "test")


def lines(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def test_a_folder_of_rows(tmp_path):
    folder = write_rows(tmp_path, {"train": 80, "dev": 10, "test": 10})
    assert recipes.default_recipe(f"{folder}/") == "tables" and recipes.things(f"{folder}/") == "rows"
    data = load_dataset(f"{folder}/")
    row, taught = data.contract.input, lines(folder / "train.csv")
    size, colour, weight = row.columns
    assert data.contract.labels == ("big", "small") and [len(data.split(name)) for name in SPLITS] == [80, 10, 10]
    assert colour == Category("colour", ("blue", "green", "red")) and row.axes == 0
    for column in (size, weight):
        values = [float(line[column.name]) for line in taught if line[column.name]]
        assert isinstance(column, Number) and column.mean == statistics.fmean(values)
        assert column.deviation == pytest.approx(statistics.pstdev(values))
    assert len(values) < 80
    assert data.note == "columns in which all training rows are alike are left out: same"
    for name, path in zip(SPLITS, ("train", "dev", "test"), strict=True):
        source = data.split(name)
        for i, line in enumerate(lines(folder / f"{path}.csv")):
            assert data.contract.labels[source.labels[i]] == line["Class"]
            expected = row.pixels([line[column.name] for column in row.columns])
            np.testing.assert_array_equal(source.images[i], expected)
            assert data.raw[name](i) == row.file([line[column.name] for column in row.columns])
    assert load_dataset(f"{folder}/").fingerprint == data.fingerprint


def test_statistics_are_of_the_training_rows_alone(tmp_path):
    rows = [f"{i},{'ab'[i % 2]},{i * i}" for i in range(40)]
    (tmp_path / "train.csv").write_text("x,label,y\n" + "\n".join(rows))
    data = load_dataset(f"{tmp_path}/")
    assert [len(data.split(name)) for name in SPLITS] == [32, 4, 4]
    taught = [next(csv.DictReader(data.raw["train"](i).decode().splitlines())) for i in range(32)]
    assert data.contract.input.columns[0].mean == statistics.fmean(int(one["x"]) for one in taught) != 19.5


def test_splits_may_have_other_orders_and_separators(tmp_path):
    (tmp_path / "train.csv").write_text(
        ",x,target,x2\n" + "".join(f"{i},{i},{'ab'[i % 2]},c{i % 3}\n" for i in range(12))
    )
    (tmp_path / "val.csv").write_text("x2;more;Target;x\nc1;?;b;3\nc9;?;a;\n")
    (tmp_path / "test.csv").write_text("x,x2,target\n3,c1,b\n,,\n")
    data = load_dataset(f"{tmp_path}/")
    assert [column.name for column in data.contract.input.columns] == ["x", "x2"]  # an index has no name
    np.testing.assert_array_equal(data.validation.images[0], data.test.images[0])
    assert data.validation.images[1].ravel().tolist() == [128] * 4 and len(data.test) == 1


@pytest.mark.parametrize(
    ("table", "held"),
    [
        ("a,b,label\n1,2,x\n", "rows"),
        ("a;b;LABEL\n1;2;x\n", "rows"),
        ("a,label\n1.5,x\n", "rows"),
        ('class,"a, b"\nx,3\n', "rows"),
        ("label,category,target\nx,1,2\n", "rows"),
        ("a,label\nred,x\n", "texts"),  # perhaps texts without a header
        ("label,comment\nx,a film\n", "texts"),
        ("a,b,label,Text\n1,2,x,a film\n", "texts"),
        ("good;fine, class, and more\nbad;dull\n", "texts"),
        ('target,"yes, a, b"\ngood,fine\n', "texts"),
        ("a,b,c\n1,2,3\n", "texts"),
        ("label\nx\n", "texts"),
        ("", "texts"),
    ],
)
def test_which_tables_are_of_rows(tmp_path, table, held):
    (tmp_path / "train.csv").write_text(table)
    found = {"rows": layouts.rows(tmp_path), "texts": layouts.texts(tmp_path)}
    assert [kind for kind, paths in found.items() if paths] == [held]


def test_tables_beside_pictures_or_of_texts_are_none_of_rows(tmp_path):
    write_rows(tmp_path, {"train": 4})
    write_reviews(tmp_path, {"train": 8})
    assert not layouts.rows(tmp_path) and layouts.texts(tmp_path)["train"].name == "train.tsv"
    (tmp_path / "train.tsv").unlink()
    assert layouts.rows(tmp_path)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").touch()
    assert not layouts.rows(tmp_path) and not layouts.texts(tmp_path)


GOOD = "".join(f"{i},{'pq'[i % 2]},{'ab'[i % 2]}\n" for i in range(80))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("x,y,label\n", "no row in train; expected a header, which names the label and columns, and rows"),
        ("x,y,label\n1,2,a\n", "all 1 training rows have the label 'a'; expected two of them"),
        ("x,y,label\n1,2,a\n3,4\n", r"train\.csv, row 3: 2 cells, its header has 3"),
        ("x,y,label\n1,2,a\n3,4,\n", r"train\.csv, row 3: no label"),
        ("x,x,label\n" + GOOD, r"its header has 'x' not once; expected a label and columns, each once"),
        (",,label\n" + GOOD, "its header has no column of a name"),
        (
            "x,y,label\n" + "".join(f"{i},{i % 2},{i}\n" for i in range(80)),
            "80 labels of 80 training rows, as '0'; a num",
        ),
        (
            "x,y,label\n" + "".join(f"w{i},1,{'ab'[i % 2]}\n" for i in range(90)),
            "column 'x' has 74 values .*'w.*' is no num",
        ),
        (
            "x,y,label\n" + GOOD.replace("7,q", "NA,q"),
            "column 'x' has 6. values in the training rows, and .*NA' is no number; .* at most 32 values",
        ),
        ("x,y,label\n" + "1,p,a\n1,p,b\n" * 9, "in each column all training rows are alike"),
        ("x,y,label\n" + "1e308,p,a\n-1e308,q,b\n1e308,p,b\n1e308,p,a\n" * 9, "column 'x': .*numbers of another size"),
        ('x,y,label\n1,"p,a\n', r"train\.csv, line 2: unexpected end"),
        (b"x,y,label\n1,\xff,a\n", "no text in UTF-8"),
        ("x,y,label\n1,2,a\n" + "2,3,b\n" * 20, "class a has 1 training"),
    ],
)
def test_what_is_no_table_of_rows(tmp_path, content, message):
    (tmp_path / "train.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=message):
        load_dataset(f"{tmp_path}/")


def test_splits_have_the_trainings_columns_and_classes(tmp_path):
    (tmp_path / "train.csv").write_text("x,y,label\n" + GOOD)
    for name, table, message in (
        ("test.csv", "x,label\n1,a\n", r"test\.csv: its header has 'y' not once"),
        ("test.csv", "x,y\n1,p\n", r"test\.csv: its header has no label"),
        ("test.csv", "x,y,label\n1,p,c\n", "test has the class 'c', which no training row has"),
        ("test.csv", "x,y,label\nred,p,a\n", r"test\.csv, row 2: column 'x' has 'red'; expected a number"),
        ("test.tsv", "x\ty\tlabel\n1\tp\ta\n", r"test\.tsv: expected \.csv"),
    ):
        (tmp_path / name).write_text(table)
        with pytest.raises(ValueError, match=message):
            load_dataset(f"{tmp_path}/")
    with pytest.raises(DataError, match="--group_by"):
        load_dataset(f"{tmp_path}/", group_by="x")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("augmentation", "flip", "--augmentation=flip: these are rows; give none"),
        ("augmentation", "forget", "--augmentation=forget: these are rows; give none"),
        ("progressive", 0.5, "--progressive=0.5: it can't be had of rows"),
        ("cutmix", 1.0, "--cutmix=1.0: it can't be had of rows"),
        ("image_size", 32, "--image_size=32: it is of pictures, .* has rows; drop it"),
        ("tokens", 5, "--tokens=5: it is of texts, .* has rows; drop it"),
    ],
)
def test_what_is_of_other_things_is_refused(tmp_path, field, value, message):
    folder = write_rows(tmp_path, {"train": 80})
    task, recipe = tasks.of(load_dataset(f"{folder}/").contract), recipes.RECIPES["tables"]
    task.check(recipe)
    with pytest.raises(ValueError, match=message):
        recipes.check_things(f"{folder}/", "auto", {field: value})
        task.check(dataclasses.replace(recipe, **{field: value}))


def test_the_network_is_a_residual_mlp(tmp_path):
    data = load_dataset(f"{write_rows(tmp_path, {'train': 80})}/")
    network = tasks.of(data.contract).network(dataclasses.replace(recipes.RECIPES["tables"], width=0.5))
    kernels = [layer.kernel_size for layer in network.layers if hasattr(layer, "kernel_size")]
    assert {*kernels} == {(1, 1)} and len(kernels) == 9 and network.input_shape == (None, 1, 5, 1)
    assert [layer.output.shape for layer in network.layers if layer.name == "vector"] == [(None, 1, 1, 5)]


def test_a_changed_table_names_its_columns(tmp_path):
    folder, run = write_rows(tmp_path, {"train": 80}), runs.Run(tmp_path / "run")
    data = load_dataset(f"{folder}/")
    run.path.mkdir()
    files.write_json(run.recipe, {"recipe": {"dataset": f"{folder}/"}})
    files.write_json(run.contract, data.contract.as_json())
    runs.check_data(run, data)
    (folder / "train.csv").write_text((folder / "train.csv").read_text().replace("colour", "hue"))
    with pytest.raises(runs.RunError, match="has changed: columns differ: colour, hue; restore"):
        runs.check_data(run, load_dataset(f"{folder}/"))


def test_check_says_what_a_table_holds(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "things").mkdir()
    folder = write_rows(tmp_path / "things", {"train": 60, "test": 10})
    first = (folder / "train.csv").read_text().splitlines()[1]
    (folder / "test.csv").write_text((folder / "test.csv").read_text() + first + "\n")
    check.main([str(folder)], "check")
    said = capsys.readouterr().out
    assert "71 rows, 2 classes" in said and "column colour: 3 categories, as blue" in said
    assert "column size: numbers, 1" in said and "column same: all alike; training leaves it out" in said
    assert "the same row: 1 times, across splits 1 (figures would be too good)" in said
    assert "train.csv, row 2 = test.csv, row 12" in said and f"keras-resnet train --dataset={folder}/" in said
    assert "empty in" in said and not (tmp_path / "runs").exists()
