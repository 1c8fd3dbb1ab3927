"""Faults that a training meets, in short; `benchmarks/fault_injection.py` goes through all of them."""

import random
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
from processes import ROOT

from benchmarks import endurance, fault_injection, same_run
from benchmarks.disturbed_run import SAME, staged
from keras_resnet import recipes, runs
from keras_resnet.data.loading import load_dataset
from keras_resnet.history import read_history
from keras_resnet.reports import tensorboard
from keras_resnet.training import checkpoints, trainer


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    return staged(tmp_path_factory.mktemp("faults") / "runs")


def assert_well(row):
    assert row.is_well, row


@pytest.mark.slow
@pytest.mark.parametrize("signpost", ["imports", "steps", "a checkpoint's write", "an epoch's end"])
def test_killed_at_any_moment_it_ends_with_the_same_bits_and_logs(stage, signpost):
    draw = random.Random(signpost)
    row = fault_injection.killed(stage.folder / signpost.replace(" ", "-"), stage.expected, draw, signpost)
    assert row.status == -9 and row.end == SAME, row


@pytest.mark.slow
def test_a_disk_that_was_full_and_has_room_again(stage):
    try:
        row = fault_injection.filled(stage, 240)
    except fault_injection.NoDisk as error:
        pytest.skip(f"SKIPPED: {error}; no full disk was tried")
    assert_well(row)
    assert row.status == 2 and "No space left on device" in row.said


@pytest.mark.slow
def test_a_flipped_bit_costs_the_newest_checkpoint_alone(stage):
    row = fault_injection.spoiled(stage, fault_injection.LATEST, "a bit flipped in an array")
    assert_well(row)
    assert row.status == 0


@pytest.mark.slow
def test_the_second_process_leaves_the_first_alone(stage):
    (row,) = fault_injection.two_processes(stage)
    assert_well(row)
    assert row.status == 2 and "another process trains there" in row.said


@pytest.mark.slow
def test_what_differs_is_seen(stage, tmp_path):
    """The comparison that all of this rests on: a weight, a figure, an epoch in TensorBoard, a report."""
    run = runs.Run(shutil.copytree(stage.whole, tmp_path / "run"))
    assert not same_run.differences(stage.expected, same_run.contents(run.path))
    with np.load(run.checkpoint) as saved:
        arrays = dict(saved)
    arrays["model/logits/kernel"][0, 0] = np.nextafter(arrays["model/logits/kernel"][0, 0], np.float32(9))
    np.savez(run.checkpoint, **arrays)
    run.history.write_text(run.history.read_text().rpartition("\n3,")[0] + "\n")
    run.report.write_text(run.report.read_text().replace('"top1_accuracy": 0.', '"top1_accuracy": 1.'))
    shutil.rmtree(run.tensorboard / "validation")
    (run.tensorboard / "validation").mkdir()
    found = " ".join(same_run.differences(stage.expected, same_run.contents(run.path)))
    for name in ("latest.npz: model/logits/kernel", "history.csv: val_loss, epoch 3", "TensorBoard: validation loss"):
        assert name in found
    assert "report.json: validation top1_accuracy" in found and "model.keras" not in found


def test_a_bit_flipped_anywhere_in_a_checkpoint_is_noticed_or_changes_nothing(tmp_path):
    path, random_numbers = tmp_path / "latest.npz", np.random.default_rng(0)
    arrays = {f"model/{name}": random_numbers.normal(size=(9, 7)).astype("float32") for name in "abc"}
    np.savez(path, progress=np.array('{"step": 3}'), **arrays)
    whole, noticed = path.read_bytes(), 0
    for place in random_numbers.integers(0, 8 * len(whole), 500):
        content = bytearray(whole)
        content[place // 8] ^= 1 << place % 8
        path.write_bytes(content)
        try:
            progress, read = checkpoints._read(path)
        except Exception:  # of many kinds, as `restore` takes them
            noticed += 1
            continue
        if read.keys() != arrays.keys():  # the zip's list is cut
            noticed += 1
            continue
        assert progress.step == 3 and all(np.array_equal(read[name], array) for name, array in arrays.items())
    assert noticed > 300


def test_a_checkpoint_that_lacks_an_array_is_a_damaged_one(tmp_path, capsys):
    path, model = tmp_path / "latest.npz", keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    optimizer = keras.optimizers.SGD()
    optimizer.build(model.trainable_variables)
    for step in (1, 2):
        checkpoints.save(path, model, optimizer, checkpoints.Progress(step))
    with np.load(path) as saved:
        arrays = dict(saved)
    arrays.pop(next(name for name in arrays if name.startswith("model/")))
    np.savez(path, **arrays)
    assert checkpoints.restore(path, model, optimizer).step == 1
    assert "(latest.npz: other arrays than the model's); the one before it is taken" in capsys.readouterr().out


def test_a_folder_that_is_taken_away_does_not_come_back_as_half_a_run(tmp_path):
    recipe = recipes.Recipe("digits", depth=8, width=0.125, batch_size=256, epochs=1)
    run = runs.Run(tmp_path / "run")
    says = r"removed or moved .*; the same command begins anew, or .* --run_dir="
    with pytest.raises(runs.RunError, match=says), runs.locked(run):
        one = trainer.Trainer(recipe, run, 300, load_dataset("digits"))
        runs.begin(run, recipe, one.data, one.hardware, one.chosen)
        one.save()
        assert run.checkpoint.exists()
        run.path.rename(tmp_path / "moved")
        one.save()
    assert {path.name for path in tmp_path.iterdir()} == {"moved"}


def test_a_row_of_history_is_written_when_all_else_is(tmp_path, monkeypatch):
    """A run is over with its last row: what lay behind it, a kill would take away for good."""
    recipe = recipes.Recipe("digits", depth=8, width=0.125, batch_size=256, epochs=1)
    run = runs.Run(tmp_path / "run")

    def killed(path, rows):
        raise InterruptedError

    with runs.locked(run):
        one = trainer.Trainer(recipe, run, 300, load_dataset("digits"))
        monkeypatch.setattr(trainer, "write_history", killed)
        for _ in range(2):  # at the epoch's end, and where it is written at the next start
            with pytest.raises(InterruptedError):
                one.fit()
            for split in ("train", "validation"):
                assert ("loss", one.steps) in set(tensorboard._written(run.tensorboard / split))
            shutil.rmtree(run.tensorboard)
    assert run.checkpoint.exists() and run.model.exists() and not run.history.exists()


def test_what_a_run_writes_before_its_recipe_does_not_lock_it_out(tmp_path):
    run = runs.Run(tmp_path)
    for path in (run.unreadable, run.contract):
        path.write_text("as a kill or a full disk leaves it")
        runs.check(run, recipes.RECIPES["digits"])
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(runs.RunError, match="holds something else"):
        runs.check(run, recipes.RECIPES["digits"])


def test_a_history_that_was_cut_says_what_makes_it_anew(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text("epoch,step,loss\n1,35,0.5\n2,70")
    with pytest.raises(ValueError, match=r"history.csv: this file is broken.*; remove it: from checkpoints/"):
        read_history(path)


def test_sigterm_outside_of_a_training_is_a_sentence():
    code = "import os, signal; from keras_resnet import programs; "
    code += "programs.start('train', lambda argv: os.kill(os.getpid(), signal.SIGTERM))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (ended.returncode, ended.stderr) == (143, "train: ended by SIGTERM\n")


def test_a_server_keeps_its_memory_and_its_files():
    model = ROOT / "keras_resnet" / "models" / "bccd-resnet18" / "model.tflite"
    looks = list(endurance.serving(model, (ROOT / "docs" / "digit_3.png").read_bytes(), 300))
    memory, files, _ = endurance.growth(looks)
    assert len(looks) == endurance.LOOKS and memory < 10 and abs(files) <= 2, looks


@pytest.mark.slow
def test_a_training_keeps_its_memory_and_its_files(tmp_path):
    looks = list(endurance.training(tmp_path / "run", 40))
    memory, files, _ = endurance.growth(looks)
    assert len(looks) > 30 and memory < 20 and files <= 1, looks
