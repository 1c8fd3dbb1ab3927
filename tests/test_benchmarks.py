"""What the benchmarks' figures rest on, where it is quick to see."""

import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from small_sets import write_tones

from benchmarks import few_pictures, fusion, quantizing_tools
from keras_resnet import files


@pytest.mark.parametrize(
    ("largest", "bits", "signed", "integer"),
    [(0.99, 8, True, 0), (1.0, 8, True, 0), (3.9, 8, True, 2), (3.9, 8, False, 2), (0.24, 4, True, -2)],
)
def test_fixed_point_numbers_hold_what_they_are_for(largest, bits, signed, integer):
    values = np.linspace(-largest if signed else 0, largest, 1001)
    assert quantizing_tools.integer_bits(values, bits, signed) == integer


def test_a_few_far_values_do_not_cost_all_others_a_bit():
    values = np.append(np.random.default_rng(0).uniform(-1, 1, 10_000), 4.01)
    assert quantizing_tools.integer_bits(values, 4, True) < 2


@pytest.mark.slow
def test_few_pictures_compares_the_same_network_on_the_same_pictures(tmp_path):
    rng = np.random.default_rng(0)
    for split, count in (("train", 32), ("validation", 3)):
        for name in ("dark", "light"):
            folder = tmp_path / "photos" / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 100, (40, 40, 3)) + 150 * (name == "light")
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i}.png")
    flags = ["--counts=16", "--seeds=0", "--image_size=32", f"--out={tmp_path / 'few'}"]
    command = [sys.executable, "-m", "benchmarks.few_pictures", tmp_path / "photos", *flags]
    result = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr
    assert re.findall(r"16 a class, seed 0, (.+): \d", result.stdout) == [*few_pictures.NAMES.values()]
    drawn = {
        split: {path.resolve() for path in (tmp_path / "few" / "photos-16-0" / split).rglob("*.png")}
        for split in ("train", "validation", "test")
    }
    assert [len(paths) for paths in drawn.values()] == [32, 32, 6]
    assert not drawn["train"] & drawn["validation"] and not drawn["test"] & (drawn["train"] | drawn["validation"])
    reports = [files.read_json(tmp_path / "few" / f"{way}-16-0" / "report.json") for way in few_pictures.WAYS]
    assert all(set(report) >= {"test"} for report in reports)
    assert (tmp_path / "few" / "few_pictures.png").stat().st_size > 10_000


@pytest.mark.slow
def test_each_speaker_is_left_out_once(tmp_path):
    words = write_tones(tmp_path / "words", {"train": 5, "test": 5})
    flags = ["--ways=none", f"--out={tmp_path / 'out'}", r"--group_by=_([a-z]+)\.wav"]
    flags += ["--flags=--epochs=1 --seconds=0.25 --bands=8 --width=0.125 --batch_size=8"]
    command = [sys.executable, "-m", "benchmarks.speakers", words, *flags]
    result = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr
    names = ["ann", "bob", "cid", "dot", "eve"]
    assert re.findall(r"(\w+), none: \d", result.stdout) == names
    assert re.search(r"\| mean \| \d+\.\d ± \d+\.\d \|", result.stdout)
    for name in names:
        linked = {split: [*(tmp_path / "out" / "words" / name / split).rglob("*.wav")] for split in ("train", "test")}
        assert {path.stem[10:] for path in linked["test"]} == {name} and len(linked["test"]) == 4
        assert {path.stem[10:] for path in linked["train"]} == {*names} - {name}


def test_pairs_are_of_one_digit_and_noise_is_what_is_said():
    rng = np.random.default_rng(0)
    digits, spoken = rng.integers(0, 10, 300), np.repeat(np.arange(10), 4)
    recordings = np.zeros((40, 9, 7, 1)) + spoken[:, None, None, None] / 20
    split = {"picture": (np.zeros((300, 8, 8, 1)), digits), "recording": (recordings, spoken)}
    quiet = {name: 0.02 for name in fusion.NOISE}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(fusion, "NOISE", quiet)
        examples, labels = fusion.pairs(split, np.random.default_rng(1))
        again, _ = fusion.pairs(split, np.random.default_rng(2))
    np.testing.assert_array_equal(labels, digits)
    np.testing.assert_array_equal(np.rint(20 * examples["recording"].mean((1, 2, 3))), digits)
    assert 0.018 < examples["picture"].std() < 0.022 and not np.array_equal(again["picture"], examples["picture"])
    loud, _ = fusion.pairs(split, np.random.default_rng(1))
    assert loud["picture"].min() == -1 and loud["picture"].max() == np.float32(127 / 128)


def test_rows_of_tools_that_are_not_installed_say_what_to_install():
    code = "import sys; from benchmarks import quantizing_tools as t; t.PACKAGES['hgq2'] = ('nowhere', 'pip install -e . HGQ2'); t.main(*sys.argv[1:])"  # noqa: E501
    command = [sys.executable, "-c", code, "hgq2-8", "nowhere/", "3", "0"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.startswith("hgq2 is not installed: pip install -e . HGQ2") and result.stderr.count("\n") == 1
