"""`keras-resnet check`: a folder with every kind of fault, and what is said of it."""

import dataclasses
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from small_sets import make_folder

from keras_resnet.data import check, contact_sheets


def photo(seed, size=(96, 80)):
    """A picture with large shapes, as photographs have."""
    coarse = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def run(*arguments, cwd):
    command = [sys.executable, "-m", "keras_resnet.program", "check", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=120)


@pytest.fixture
def faulty(tmp_path):
    root = tmp_path / "photos"
    for split, classes in (("train", {"cat": 40, "dog": 4}), ("test", {"cat": 3, "dog": 3})):
        for c, (name, n) in enumerate(classes.items()):
            (root / split / name).mkdir(parents=True)
            for i in range(n):
                photo(1000 * c + i + 500 * (split == "test")).save(root / split / name / f"{i:02}.png")
    train, test = root / "train", root / "test"
    shutil.copy(train / "cat" / "03.png", train / "dog" / "same.png")
    shutil.copy(train / "cat" / "04.png", test / "cat" / "leak.png")
    photo(5).resize((48, 40)).save(test / "cat" / "half.jpg", quality=60)
    ImageEnhance.Brightness(photo(1001)).enhance(1.2).save(train / "dog" / "brighter.png")
    (train / "cat" / "broken.png").write_bytes((train / "cat" / "00.png").read_bytes()[:300])
    (train / "cat" / "text.jpg").write_bytes(b"hello")
    (train / "stray.png").write_bytes(b"")
    exif = Image.Exif()
    exif[0x0112] = 6
    photo(77, (60, 90)).save(train / "dog" / "turned.jpg", exif=exif)
    photo(78).convert("L").save(train / "dog" / "gray.png")
    return root


def test_every_fault_is_told(faulty, tmp_path):
    result = run(faulty, cwd=tmp_path)
    assert result.returncode == 0 and not result.stderr, result.stderr
    said = result.stdout
    assert re.search(r"cat +40 +5 ", said) and re.search(r"dog +8 +3 ", said)
    assert "unreadable: 2 of 58" in said and "text.jpg: no picture, whatever its name says" in said
    assert "in no class's folder, left out: 1\n" in said and "stray.png" in said
    assert "the same file: 2 times, across splits 1 (figures would be too good), across classes 1" in said
    pairs = said[said.index("nearly the same picture") :].splitlines()
    assert pairs[0].startswith("nearly the same picture: 2 times, across splits 1 ")
    assert {tuple(pathlib.Path(p).name for p in line.split(" = ")) for line in pairs[1:3]} == {
        ("05.png", "half.jpg"),
        ("01.png", "brighter.png"),
    }
    assert "sizes: 48x40 to 96x80" in said and "smaller than 64 pixels: 2" in said
    assert "turned by EXIF: 1" in said and "PNG L 1" in said
    flags = f"--dataset={faulty}/ --max_bad_fraction=0.04 --best=balanced_accuracy --recipe=probe"
    assert f"keras-resnet train --init=keras:resnet50 {flags}" in said
    assert "unbalanced: cat has 5 times dog's training pictures; --sampling=balanced draws all classes alike\n" in said
    with Image.open(tmp_path / "runs" / "photos-check" / "000-cat.png") as sheet:
        assert sheet.width > 8 * 112 and sheet.height > 4 * 112  # 45 pictures are more than four rows


def test_what_suits_small_and_unbalanced_pictures(tmp_path):
    make_folder(tmp_path / "a", ("cat", "dog"), 12)
    for i in range(10):
        (tmp_path / "a" / "dog" / f"{i:03}.png").unlink()
    names, entries, _ = check.read(tmp_path / "a")
    good = check.look_at_all(entries)
    first, second = check.commands(tmp_path / "a", names, good)
    assert "--init=cifar10-jpeg-resnet20" in first and first.count("--best=balanced_accuracy") == 1 == second.count(
        "--best"
    )


def test_a_median_of_two_and_so_many_pictures_whatever_their_labels(tmp_path):
    make_folder(tmp_path / "a", ("cat",), 1, (32, 32))
    make_folder(tmp_path / "a", ("dog",), 1, (96, 96))
    names, entries, _ = check.read(tmp_path / "a")
    good = check.look_at_all(entries)
    assert "the shorter side is 64 pixels in the median" in "\n".join(check._sizes(good))
    for count, labels, many in ((7_000, (0, 1, 1), False), (20_000, (0,), True)):
        found = [dataclasses.replace(good[0], labels=labels)] * count + [good[1]]
        assert ("so many pictures" in "\n".join(check.commands(tmp_path / "a", names, found))) == many


def test_labels_csv(tmp_path):
    make_folder(tmp_path / "a", ("x",), 4)
    rows = ["x/000.png,red", "x/001.png,red;blue", "x/002.png,", "x/003.png,blue"]
    (tmp_path / "a" / "labels.csv").write_text("\n".join(["picture,labels", *rows]))
    result = run(tmp_path / "a", cwd=tmp_path)
    assert result.returncode == 0 and "4 pictures, 2 labels" in result.stdout, result.stderr
    assert re.search(r"label .*\n +blue +2 .*\n +red +2 ", result.stdout) and "refuses" not in result.stdout, (
        result.stdout
    )
    with Image.open(tmp_path / "runs" / "a-check" / "000-blue.png") as sheet:
        assert np.asarray(sheet)[50:, 130:230].min() < 255  # of its two pictures, the second


def test_no_folder_of_classes_is_a_sentence(tmp_path):
    for folder, says in (
        (tmp_path / "no", f"check: {tmp_path / 'no'}: no such folder"),
        (tmp_path, "found 0 class folder(s)"),
    ):
        result = run(folder, cwd=tmp_path)
        assert result.returncode == 2 and says in result.stderr and result.stderr.count("\n") == 1
    assert run("--help", cwd=tmp_path).returncode == 0


def test_too_few_to_split_old_sheets_and_pipes(tmp_path):
    make_folder(tmp_path / "a", ("cat", "dog"), 2)
    os.mkfifo(tmp_path / "a" / "cat" / "pipe.jpg")  # who reads it waits
    (tmp_path / "a" / "cat" / "line\nbreak\x1b.jpg").write_bytes(b"no picture")
    deep = np.tile(np.linspace(3000, 20000, 64).astype(np.uint16), (64, 1))  # 16 bits
    Image.fromarray(deep).save(tmp_path / "a" / "cat" / "000.png")
    sheets = tmp_path / "sheets"
    contact_sheets.write(sheets, [*map(str, range(7)), "gone"], [])
    for mine in ("mine.png", "012-mine.png"):
        (sheets / mine).touch()
    Image.new("L", (8, 8)).save(sheets / "013-mine.png")
    result = run(tmp_path / "a", f"--sheets={sheets}", cwd=tmp_path)
    assert "4 pictures, 2 classes" in result.stdout and "too few of cat, dog to draw the missing" in result.stdout
    assert "keras-resnet train" not in result.stdout
    assert "cat/pipe.jpg: no regular file, but a pipe or a device" in result.stdout
    assert "cat/line\\nbreak\\x1b.jpg: no picture" in result.stdout
    with Image.open(sheets / "000-cat.png") as sheet:
        assert 5 < np.asarray(sheet)[70:110, 30:50].mean() < 60  # 3,000 to 20,000 of 65,535: its left third
    mine = {"mine.png", "012-mine.png", "013-mine.png"}
    assert {p.name for p in sheets.iterdir()} == {"000-cat.png", "001-dog.png"} | mine
    for inside in (tmp_path / "a" / "cat", tmp_path / "a"):
        result = run(tmp_path / "a", f"--sheets={inside}", cwd=tmp_path)
        assert result.returncode == 2 and "sheets there would be pictures of the data" in result.stderr
    assert "--sheets=runs/a-check: sheets there" in run(".", cwd=tmp_path / "a").stderr


def test_commands_can_be_pasted_and_thousands_of_classes_be_read(tmp_path):
    folder = make_folder(tmp_path / "it's $HOME & (co)", [f"class{i:03}" for i in range(130)], 1)
    (folder / "train.csv").write_text("id,class\n1,a\n2,b\n")  # of Kaggle's: it is about the pictures
    result = run(folder, cwd=tmp_path)
    assert "too few of class000, class001," in result.stdout and "class009 and 120 more to draw" in result.stdout
    assert "130 pictures, 130 classes" in result.stdout and max(map(len, result.stdout.splitlines())) < 400
    assert "… and 70 more" in result.stdout and "(the first 100 classes)" in result.stdout
    assert len([*(tmp_path / "runs" / f"{folder.name}-check").iterdir()]) == 100
    for i in range(10):
        for name in ("class000", "class001"):
            shutil.copy(folder / name / "000.png", folder / name / f"b{i}.png")
    for i in range(2, 130):
        shutil.rmtree(folder / f"class{i:03}")
    (folder / "class000" / "broken.png").write_bytes(b"no picture")
    said = run(folder, cwd=tmp_path).stdout
    (command,) = [line for line in said.splitlines() if "all of it learns" in line]
    flags = shlex.split(command.partition("#")[0])
    assert f"--dataset={folder}/" in flags and "--max_bad_fraction=0.05" in flags


def test_too_few_to_draw_the_one_split_that_is_missing(tmp_path):
    for split, cats, dogs in (("train", 1, 9), ("validation", 2, 2)):
        make_folder(tmp_path / "photos" / split, ("cat",), cats)
        make_folder(tmp_path / "photos" / split, ("dog",), dogs)
    result = run(tmp_path / "photos", cwd=tmp_path)
    assert "too few of cat to draw the missing splits from: training refuses less than 2" in result.stdout


def test_near_duplicates_are_pairs_of_a_distance():
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**63, (5, 4), np.uint64)
    for at, differing in ((1, check.NEAR), (2, check.NEAR + 1)):
        row = np.unpackbits(bits[:1].view(np.uint8))
        row[:differing] ^= 1
        bits[at] = np.packbits(row).view(np.uint64)
    pictures = [check.Looked(str(i), "train", (0,), digest=bytes([i]), bits=b) for i, b in enumerate(bits)]
    pairs = {(a.path, b.path) for a, b in check.near_duplicates(pictures)}
    assert pairs == {("0", "1"), ("1", "2")}  # the third is one bit farther, and one from the second
