"""Runs as people start them: real processes, killed, interrupted and continued."""

import contextlib
import csv
import dataclasses
import errno
import fcntl
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from processes import SMALL, assert_same_state, finish, kill, start, state, wait_until
from tensorflow.core.util import event_pb2
from tensorflow.python.lib.io import tf_record

from benchmarks.disturbed_run import saved_step
from keras_resnet import files, recipes, runs
from keras_resnet.data import dataset
from keras_resnet.data.decoding import normalize
from keras_resnet.data.loading import load_dataset
from keras_resnet.device.contract import Contract
from keras_resnet.history import is_over, read_history, write_history
from keras_resnet.quantization.saved import load_model
from keras_resnet.reports import evaluation
from keras_resnet.tasks import metrics
from keras_resnet.training import checkpoints, distribution, dry_run, starting, trainer


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run."""
    run_dir = tmp_path_factory.mktemp("whole") / "run"
    output = finish(run_dir, "--split=validation")
    return run_dir, output


def test_a_run_is_a_folder(whole):
    run_dir, output = whole
    names = {p.name for p in run_dir.iterdir()}
    assert names >= {"recipe.json", "contract.json", "checkpoints", "model.keras", "history.csv", "tensorboard"}
    assert names >= {"report.json", "figures"}
    recipe = files.read_json(run_dir / "recipe.json")
    assert recipe["recipe"]["width"] == 0.5
    assert Contract.load(run_dir / "contract.json") == load_dataset("digits").contract
    assert recipe["versions"]["keras"] == keras.__version__
    assert "one_device · float32" in output
    assert "top-1 accuracy" in output
    with open(run_dir / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert float(rows[2]["loss"]) < float(rows[0]["loss"])


def test_saved_model_is_the_best_and_loads_without_us(whole):
    run_dir, _ = whole
    code = (
        "import sys, keras; m = keras.models.load_model(sys.argv[1]); "
        "assert 'keras_resnet' not in sys.modules; print(m.count_params())"
    )
    output = subprocess.run(
        [sys.executable, "-c", code, str(run_dir / "model.keras")], capture_output=True, text=True, check=True, cwd="/"
    )
    assert int(output.stdout.split()[-1]) == keras.models.load_model(run_dir / "model.keras").count_params()
    report = files.read_json(run_dir / "report.json")
    with open(run_dir / "history.csv", newline="") as file:
        best = max(float(row["val_accuracy"]) for row in csv.DictReader(file))
    assert report["validation"]["top1_accuracy"] == pytest.approx(best, abs=1e-6)


def test_killed_within_an_epoch_ends_with_the_same_bits(whole, tmp_path):
    run_dir = tmp_path / "run"
    steps = saved_step(whole[0])
    # 35 steps make an epoch: the second one is cut in two.
    kill(run_dir, lambda: saved_step(run_dir) > steps // 3 + 2, "--save_seconds=0")
    cut = saved_step(run_dir)
    assert steps // 3 < cut < steps
    assert not list(run_dir.rglob(".*.keras"))
    output = finish(run_dir)
    assert f"continues at step {cut}" in output.replace(",", "")
    assert_same_state(state(whole[0]), state(run_dir))
    models = [keras.models.load_model(d / "model.keras").get_weights() for d in (whole[0], run_dir)]
    for one, other in zip(*models, strict=True):
        np.testing.assert_array_equal(one, other)
    histories = []
    for d in (whole[0], run_dir):
        with open(d / "history.csv", newline="") as file:
            histories.append([{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)])
    for one, other in zip(*histories, strict=True):
        for key in ("epoch", "step", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"):
            assert one[key] == pytest.approx(other[key], rel=1e-5), key


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow)]
)
def test_signals_save_say_so_and_continue(whole, tmp_path, number, status):
    run_dir = tmp_path / "run"
    process = start(run_dir, "--save_seconds=0")
    wait_until(lambda: saved_step(run_dir) > 3, process)
    process.send_signal(number)
    output = process.communicate(timeout=500)[0]
    assert process.returncode == status, output
    assert f"{number.name}: saved at step {saved_step(run_dir)}; the same command continues" in output
    finish(run_dir)
    assert_same_state(state(whole[0]), state(run_dir))


def test_finished_run_does_nothing(whole):
    run_dir, _ = whole
    before = {p: p.stat().st_mtime_ns for p in run_dir.rglob("*") if p.is_file() and p.name != ".lock"}
    output = finish(run_dir)
    assert "this run is finished" in output
    assert before == {p: p.stat().st_mtime_ns for p in run_dir.rglob("*") if p.is_file() and p.name != ".lock"}


def test_other_flags_are_refused_with_the_difference(whole):
    output = finish(whole[0], "--learning_rate=0.3", status=2)
    assert "--learning_rate=0.3 (it has 0.1)" in output


@pytest.mark.slow
def test_killed_between_the_last_step_and_the_validation(whole, tmp_path):
    # The state that a save on an epoch's last step leaves: all steps are done, the epoch is not in the history yet.
    run_dir = tmp_path / "run"
    finish(run_dir)
    path = run_dir / "checkpoints" / "latest.npz"
    with np.load(path) as saved:
        arrays = dict(saved)
    progress = json.loads(str(arrays["progress"]))
    row = progress["history"].pop()
    progress["partial"] = {"steps": 35, "loss": row["loss"], "accuracy": row["accuracy"], "step_seconds": 0.05}
    np.savez(path, **{**arrays, "progress": np.array(json.dumps(progress))})
    (run_dir / "history.csv").unlink()
    finish(run_dir)
    assert (run_dir / "history.csv").read_text().count("\n") == 4
    assert_same_state(state(whole[0]), state(run_dir))


@pytest.mark.slow
def test_the_figure_that_is_asked_for_keeps_the_model(tmp_path, monkeypatch):
    """The validation's answers are made up, so that the figures disagree; all else is a training."""

    def answers(predictions):
        figures = metrics.Accumulator(10)
        labels = np.repeat(np.arange(10), [82] + [2] * 9)
        figures.add(5 * np.eye(10)[predictions], labels)
        return figures

    majority, fair = np.zeros(100, int), np.repeat([1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [40, 42] + [2] * 9)
    fields = {"dataset": "digits", "depth": 8, "width": 0.25, "epochs": 2, "batch_size": 512}
    for best, kept in (("accuracy", 1), ("balanced_accuracy", 2), ("macro_f1", 2), ("loss", 1)):
        made = iter((answers(majority), answers(fair)))
        monkeypatch.setattr(trainer.Trainer, "_validate", lambda self, made=made: next(made))
        run_dir = tmp_path / best
        trainer.train(recipes.Recipe(**fields, best=best), run_dir)
        weights = state(run_dir)["model/logits/kernel"]  # after the second epoch
        is_last = np.array_equal(keras.models.load_model(run_dir / "model.keras").get_layer("logits").kernel, weights)
        assert is_last == (kept == 2), best


def test_a_changed_data_set_is_noticed(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(12):
            Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).save(tmp_path / "data" / name / f"{i}.png")
    recipe = (f"--dataset={tmp_path}/data/", "--image_size=16", "--depth=8", "--batch_size=4", "--epochs=1")
    finish(tmp_path / "run", recipe=recipe)
    shutil.copy(tmp_path / "data" / "cat" / "0.png", tmp_path / "data" / "cat" / "more.png")
    command = [sys.executable, "-m", "keras_resnet.evaluation", str(tmp_path / "run")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 2
    assert "its data set has changed: it began with {'train': 20" in result.stderr


def photos(folder, count=12, size=80):
    """A folder of two classes of noise."""
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(rng.integers(0, 256, (size, size, 3), np.uint8)).save(folder / name / f"{i}.jpg")


@pytest.mark.slow
def test_a_picture_damaged_meanwhile_is_named_and_the_process_ends(tmp_path):
    # TensorFlow's iterator waits for ever in about every second of such ends, the more the busier the machine is.
    photos(tmp_path / "data")
    recipe = (f"--dataset={tmp_path}/data/", "--image_size=64", "--depth=8", "--width=0.25", "--batch_size=4")
    folders = [tmp_path / f"run{i}" for i in range(3)]
    processes = [start(folder, "--epochs=100000", recipe=recipe) for folder in folders]
    try:
        for folder, process in zip(folders, processes, strict=True):
            wait_until((folder / "recipe.json").exists, process, 400)
        gone, *others = sorted((tmp_path / "data" / "cat").iterdir())
        gone.unlink()
        for path in others:
            path.write_bytes(path.read_bytes()[:900])
        for process in processes:
            output = process.communicate(timeout=400)[0]
            assert process.returncode == 2, output
            assert re.search(rf"train: {tmp_path}/data/cat/\d+.jpg, .* changed or removed while in use \(\w", output)
            assert "/dog/" not in output
            assert "Traceback" not in output
    finally:
        for process in processes:
            process.kill()


def test_a_finished_run_is_not_that_of_other_pictures(tmp_path, capsys):
    photos(tmp_path / "data", size=16)
    same = (tmp_path / "data" / "cat" / "0.jpg").read_bytes()
    for path in tmp_path.glob("data/*/*"):  # so that one class is never predicted
        path.write_bytes(same)
    shutil.copytree(tmp_path / "data", tmp_path / "moved")
    photos(tmp_path / "other", count=13, size=16)
    recipe = recipes.Recipe(f"{tmp_path}/data/", image_size=16, depth=8, width=0.25, batch_size=4, epochs=1)
    assert trainer.train(recipe, tmp_path / "run")
    missed = r"never predicted: (cat|dog) \(1 of 2 classes\)"
    assert re.search(f"validation after the last epoch: {missed}", capsys.readouterr().out)
    evaluation.report(tmp_path / "run")
    assert re.search(f"warning: {missed}", capsys.readouterr().out)
    assert trainer.train(dataclasses.replace(recipe, dataset=f"{tmp_path}/moved/"), tmp_path / "run") is None
    with pytest.raises(runs.RunError, match=r"its data set has changed: it began with .*, now there are "):
        trainer.train(dataclasses.replace(recipe, dataset=f"{tmp_path}/other/"), tmp_path / "run")


@pytest.mark.slow
def test_a_run_moves_with_its_data(tmp_path):
    photos(tmp_path / "data", size=16)
    recipe = ("--image_size=16", "--depth=8", "--width=0.25", "--batch_size=4", "--epochs=2")
    first, second = f"--dataset={tmp_path}/data/", f"--dataset={tmp_path}/moved/"
    finish(tmp_path / "whole", first, recipe=recipe)
    kill(tmp_path / "cut", lambda: saved_step(tmp_path / "cut") > 1, first, "--save_seconds=0", recipe=recipe)
    (tmp_path / "data").rename(tmp_path / "moved")
    (tmp_path / "cut").rename(tmp_path / "elsewhere")
    assert "no such folder" in finish(tmp_path / "elsewhere", first, status=2, recipe=recipe)
    finish(tmp_path / "elsewhere", second, recipe=recipe)
    assert_same_state(state(tmp_path / "whole"), state(tmp_path / "elsewhere"))
    made = files.read_json(tmp_path / "elsewhere" / "recipe.json")
    assert made["recipe"]["dataset"] == f"{tmp_path}/moved/"
    hardware = {"strategy": "one_device", "precision": "float32", "compile": "none", "batch_norm": "synchronized"}
    assert made["chosen"] == {**hardware, "best": "accuracy"}
    assert len(made["starts"]) == 2 and {"date", "hardware", "versions", "git_commit"} <= made["starts"][1].keys()
    command = [sys.executable, "-m", "keras_resnet.evaluation", str(tmp_path / "whole")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert (result.returncode, "no such folder" in result.stderr) == (2, True)
    subprocess.run([*command, second], check=True, capture_output=True)
    picture = tmp_path / "moved" / "cat" / "0.jpg"  # another picture under the same name
    picture.write_bytes((tmp_path / "moved" / "dog" / "1.jpg").read_bytes() + b"\n")
    result = subprocess.run([*command, second], capture_output=True, text=True)
    assert result.returncode == 2
    assert "its data set has changed: other files, sizes or labels among the " in result.stderr


@pytest.fixture
def trainer_of(tmp_path):
    """A function that chooses what a run of one recipe computes on, as it does at every start."""
    data = load_dataset("digits")

    def choose(**fields):
        run = runs.Run(tmp_path / "run")
        recipe = recipes.Recipe(dataset="digits", **fields)
        runs.check(run, recipe)
        hardware = trainer.choose_hardware(recipe, run)
        runs.begin(run, recipe, data, hardware, {**hardware.chosen, "best": "accuracy"})
        return hardware

    return choose


def test_auto_stays_what_it_became(trainer_of, tmp_path, monkeypatch):
    assert trainer_of().precision == "float32"
    monkeypatch.setattr(distribution, "_precision", lambda gpus: "mixed_bfloat16")  # a machine that would choose so
    assert trainer_of().precision == "float32"
    assert trainer_of(precision="float32").precision == "float32"  # what auto became is no other flag
    with pytest.raises(runs.RunError, match=r"--precision=mixed_bfloat16 \(it has auto\)"):
        trainer_of(precision="mixed_bfloat16")
    assert trainer_of(best="accuracy").precision == "float32"
    with pytest.raises(runs.RunError, match=r"--best=loss \(it has auto\)"):
        trainer_of(best="loss")

    def choose(batch_size, **_):
        raise ValueError(f"--batch_size={batch_size}: 3 devices can't share it evenly; give a multiple, as 126")

    monkeypatch.setattr(distribution, "choose", choose)
    with pytest.raises(runs.RunError, match=r"it began with --strategy=one_device .* on CPU .*can't do \(.*3 devices"):
        trainer_of()


def test_data_that_differs_is_named(trainer_of, tmp_path):
    trainer_of()
    run, data = runs.Run(tmp_path / "run"), load_dataset("digits")
    runs.check_data(run, data)
    wide = dataclasses.replace(data.contract, input=dataclasses.replace(data.contract.input, width=48))
    with pytest.raises(runs.RunError, match=r"changed: width=48 \(it has 32\); restore"):
        runs.check_data(run, dataclasses.replace(data, contract=wide))
    other = {**data.fingerprint, "test": "359 sha256:0"}
    with pytest.raises(runs.RunError, match="other files, sizes or labels among the test pictures"):
        runs.check_data(run, dataclasses.replace(data, fingerprint=other))
    made = files.read_json(run.recipe)  # as it was written before there were fingerprints
    files.write_json(run.recipe, {name: made[name] for name in ("recipe", "pictures", "versions")})
    runs.check_data(run, dataclasses.replace(data, fingerprint=other))
    assert trainer_of().precision == "float32"
    assert files.read_json(run.recipe)["data"] == data.fingerprint


@pytest.mark.slow
def test_a_larger_epochs_extends_a_finished_run(tmp_path):
    """It goes on where it ended, killed in between or not; an unfinished one, or a smaller number, is refused."""
    for name in ("whole", "cut"):
        finish(tmp_path / name)
    short = [flag for flag in SMALL if "epochs" not in flag]
    output = finish(tmp_path / "whole", "--epochs=5", recipe=short)
    assert "extends 3 epochs by 2: the schedule (one_cycle) begins anew, at 0.01" in output
    rows = read_history(tmp_path / "whole" / "history.csv")
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 5]
    assert rows[2]["learning_rate"] < 2e-3 and rows[3]["learning_rate"] > 4e-3
    where = tmp_path / "cut" / "history.csv"
    kill(tmp_path / "cut", lambda: where.read_text().count("\n") == 5, "--epochs=5", "--save_seconds=0", recipe=short)
    finish(tmp_path / "cut", "--epochs=5", recipe=short)
    assert_same_state(state(tmp_path / "whole"), state(tmp_path / "cut"))
    assert "this run is finished" in finish(tmp_path / "whole", "--epochs=5", recipe=short)
    assert "--epochs=3 (it has 5)" in finish(tmp_path / "whole", status=2)
    recipe = runs.load_recipe(runs.Run(tmp_path / "whole"))
    assert (recipe.epochs, recipe.extends) == (5, "3")


def test_patience_counts_from_where_a_run_was_extended():
    """Best at epoch 2 of 5, extended by 3: the old epochs without a better one do not end the new ones."""
    rows = [{"epoch": i, "val_accuracy": 0.9 if i == 2 else 0.5, "val_loss": 1.0} for i in range(1, 9)]
    recipe = dataclasses.replace(recipes.RECIPES["digits"], epochs=8, patience=3)
    assert is_over(rows[:5], recipe, "accuracy") and not is_over(rows[:4], recipe, "accuracy")
    extended = dataclasses.replace(recipe, extends="5")
    assert [is_over(rows[:n], extended, "accuracy") for n in (5, 6, 7, 8)] == [False, False, False, True]


def test_what_patience_ended_is_extended_from_there(tmp_path):
    rows = [{"epoch": i, "val_accuracy": 0.9 if i == 2 else 0.5, "val_loss": 1.0} for i in range(1, 6)]
    run, recipe = runs.Run(tmp_path / "run"), dataclasses.replace(recipes.RECIPES["digits"], epochs=8, patience=3)
    run.path.mkdir()
    files.write_json(run.recipe, {"recipe": dataclasses.asdict(recipe), "chosen": {"best": "accuracy"}})
    run.checkpoint.parent.mkdir(exist_ok=True)
    run.checkpoint.touch()
    more = dataclasses.replace(recipe, epochs=12)
    for done, says in ((4, "--epochs=12 (it has 8)"), (5, None)):
        write_history(run.history, rows[:done])
        with pytest.raises(runs.RunError, match=re.escape(says)) if says else contextlib.nullcontext():
            runs.check(run, more)
    grown = runs.extended(run, more)
    assert (grown.extends, grown.epochs, grown.ends) == ("5", 12, [5, 12])
    assert not is_over(rows, grown, "accuracy")


def test_a_dry_run_counts_the_time_of_the_pictures(tmp_path, monkeypatch, capsys):
    recipe = dataclasses.replace(recipes.RECIPES["digits"], width=0.25, epochs=2)
    made = dataset.Data.training

    def slow(*given, **how):
        return made(*given, **how).map(lambda x, y: (tf.py_function(lambda x: time.sleep(0.2) or x, [x], x.dtype), y))

    monkeypatch.setattr(dataset.Data, "training", slow)
    dry_run.dry_run(recipe, runs.Run(tmp_path / "run"))
    said = capsys.readouterr().out
    assert float(re.search(r"at ([\d,]+) images/s", said)[1]) < 32 / 0.2, said


def test_muon_leaves_the_last_layer_to_adamw_behind_int8_too(tmp_path):
    recipe = recipes.continued(recipes.RECIPES["digits"], "keras_resnet/models/digits-resnet8", "int8")
    one = trainer.Trainer(dataclasses.replace(recipe, optimizer="muon"), runs.Run(tmp_path / "run"), 300)
    orthogonal = {v.path for v in one.twin.trainable_variables if not one.inner._should_use_adamw(v)}
    assert "stage4_block1_conv2/kernel" in orthogonal and not any("logits" in path for path in orthogonal)


def test_a_dry_run_of_a_probe_has_no_epochs(tmp_path, capsys):
    recipe = dataclasses.replace(recipes.RECIPES["probe"], dataset="digits", init="keras_resnet/models/digits-resnet8")
    dry_run.dry_run(recipe, runs.Run(tmp_path / "run"))
    assert "0 epochs of 35 steps" in capsys.readouterr().out


def test_a_dry_run_writes_nothing(tmp_path):
    output = finish(tmp_path / "run", "--dry_run", "--precision=float32")
    memory = re.search(
        r"^most memory so far: ([\d,]+) MB(, \S+ [\d,]+ MB)*; nothing was written$", output, re.MULTILINE
    )
    assert 100 < int(memory[1].replace(",", "")) < 100_000
    assert "digits: 1,151 / 287 / 359 pictures" in output and "epochs of 35 steps of 32 pictures: about 0 min" in output
    assert "19,954 parameters learn; 3.2 million multiplications each" in output and not (tmp_path / "run").exists()


def test_an_origin_that_moved_is_known_by_its_weights(finished, tmp_path):
    run, data = runs.Run(tmp_path / "qat"), load_dataset("digits")
    recipe = recipes.continued(runs.load_recipe(runs.Run(finished)), str(finished), "int8")
    runs.begin(run, recipe, data, distribution.choose(), {})
    moved = finished.rename(tmp_path / "moved")
    recipe = dataclasses.replace(recipe, init=str(moved))
    runs.check(run, recipe)
    with open(moved / "model.keras", "ab") as file:
        file.write(b"another")
    with pytest.raises(runs.RunError, match=r"another run is there: --init="):
        runs.check(run, recipe)


def test_locks_that_a_file_system_lacks(tmp_path, capsys, monkeypatch):
    run = runs.Run(tmp_path / "run")
    for number, says in ((errno.ENOLCK, "no locks here"), (errno.EOPNOTSUPP, "no locks here"), (errno.EAGAIN, "")):

        def flock(file, operation, number=number):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(fcntl, "flock", flock)
        with contextlib.ExitStack() as stack:
            if not says:
                stack.enter_context(pytest.raises(runs.RunError, match="another process trains there"))
            with runs.locked(run):
                assert says and says in capsys.readouterr().out


def test_foreign_folder_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    output = finish(tmp_path, status=2)
    assert "this folder holds something else" in output
    assert {p.name for p in tmp_path.iterdir()} == {"thesis.txt"}
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_broken_checkpoint(whole, tmp_path):
    run_dir = tmp_path / "run"
    (run_dir / "checkpoints").mkdir(parents=True)
    for name in ("recipe.json", "contract.json"):
        (run_dir / name).write_bytes((whole[0] / name).read_bytes())
    (run_dir / "checkpoints" / "latest.npz").write_bytes(b"PK\x03\x04 nonsense")
    assert "no readable checkpoint" in finish(run_dir, status=2)


def net_and_optimizer(classes=3):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(classes, name="logits")], name="net")
    optimizer = keras.optimizers.SGD(momentum=0.9, name="sgd")
    optimizer.build(model.trainable_variables)
    return model, optimizer


def test_a_checkpoint_holds_all_that_was_saved_and_is_of_one_model(tmp_path):
    path, (model, optimizer) = tmp_path / "latest.npz", net_and_optimizer()
    for variable in (*model.variables, *optimizer.variables[2:]):
        variable.assign(np.random.default_rng(1).normal(size=variable.shape))
    progress = checkpoints.Progress(7, [{"epoch": 1, "loss": 0.1}], {"steps": 3, "loss": 0.2, "accuracy": 0.7}, 12.5)
    checkpoints.save(path, model, optimizer, progress)
    twin, fresh = net_and_optimizer()
    assert checkpoints.restore(path, twin, fresh) == progress
    for new, old in zip((*twin.variables, *fresh.variables), (*model.variables, *optimizer.variables), strict=True):
        np.testing.assert_array_equal(new.numpy(), old.numpy())
    with pytest.raises(checkpoints.CheckpointError, match="a checkpoint of another model"):
        checkpoints.restore(path, *net_and_optimizer(4))


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("progress", np.array('{"step": "7"}')),
        ("progress", np.array('{"history": "none"}')),
        ("progress", np.array('{"partial": []}')),
        ("progress", np.array('{"seconds": "long"}')),
        ("progress", np.array("[" * 100_000)),
        ("model/net/logits/bias", np.array(["a", "b", "c"])),
    ],
)
def test_a_checkpoint_of_other_types_changes_nothing(tmp_path, name, array):
    path, (model, optimizer) = tmp_path / "latest.npz", net_and_optimizer()
    checkpoints.save(path, model, optimizer, checkpoints.Progress(7))
    with np.load(path) as saved:
        arrays = {key: saved[key] + 1 if key.startswith("model/") else saved[key] for key in saved}
    (changed,) = (key for key in arrays if key.endswith(name.rpartition("/")[2]) and "momentum" not in key)
    np.savez(path, **{**arrays, changed: array})
    before = model.get_weights()
    with pytest.raises(checkpoints.CheckpointError, match=r"no readable checkpoint \(latest.npz: "):
        checkpoints.restore(path, model, optimizer)
    assert all((new == old).all() for new, old in zip(model.get_weights(), before, strict=True))


@pytest.mark.parametrize("links", [True, False])
def test_the_checkpoint_before_a_damaged_one_is_taken(tmp_path, capsys, monkeypatch, links):
    if not links:  # as on a file system that has none
        monkeypatch.setattr(os, "link", lambda *_: os.truncate("/no/such", 0))
    path, other = tmp_path / "latest.npz", tmp_path / "previous.npz"
    model, optimizer = net_and_optimizer()
    weights = {}
    for step in (1, 2, 3):
        optimizer.iterations.assign(step)
        model.set_weights([w + 1 for w in model.get_weights()])
        checkpoints.save(path, model, optimizer, checkpoints.Progress(step))
        weights[step] = model.get_weights()
    assert {p.name for p in tmp_path.iterdir()} == {"latest.npz", "previous.npz"}
    path.write_bytes(path.read_bytes()[:-200])
    model, optimizer = net_and_optimizer()
    assert checkpoints.restore(path, model, optimizer).step == int(optimizer.iterations) == 2
    np.testing.assert_array_equal(model.get_weights()[0], weights[2][0])
    assert "no readable checkpoint (latest.npz: " in capsys.readouterr().out
    assert [p.name for p in tmp_path.iterdir()] == ["latest.npz"]  # it is the newest now
    assert checkpoints.restore(path, model, optimizer).step == 2
    for broken in (path, other):
        broken.write_bytes(b"PK")
    with pytest.raises(checkpoints.CheckpointError, match=r"latest.npz: .*; previous.npz: .*remove this folder"):
        checkpoints.restore(path, model, optimizer)


def test_what_kills_leave_is_swept_up_and_nothing_else(tmp_path):
    run = runs.Run(tmp_path / "run")
    left = [".model-ab3d_f9h.keras", ".history-abcdefgh.csv", "checkpoints/.latest-01234567.npz"]
    left += [".report-ab3d_f9h.json", "figures/.validation_mistakes-ab3d_f9h.png", "figures/.curves-ab3d_f9h.png"]
    kept = [
        "figures/.mine.png",
        "figures/curves-ab3d_f9h.png",
        ".model-mine.keras",
        "checkpoints/.latest-0123456.npz",
        "checkpoints/latest-01234567.npz",
        "qat/.model-abcdefgh.keras",
    ]
    for name in left + kept:
        (run.path / name).parent.mkdir(parents=True, exist_ok=True)
        (run.path / name).write_text("half")
    with runs.locked(run):
        found = {str(p.relative_to(run.path)) for p in run.path.rglob("*") if p.is_file()}
    assert found == {*kept, ".lock"}
    with runs.locked(runs.Run(tmp_path / "not" / "there" / "run")):
        assert (tmp_path / "not" / "there" / "run").exists()
    assert not (tmp_path / "not").exists() and run.path.exists()


def test_two_processes_in_one_folder(tmp_path):
    run_dir = tmp_path / "run"
    process = start(run_dir)
    wait_until((run_dir / "recipe.json").exists, process)  # written under the lock
    process.send_signal(signal.SIGSTOP)  # else it may have ended before the other one asks
    assert "another process trains there" in finish(run_dir, status=2)
    process.kill()
    process.wait()


def test_loss_that_is_no_number(tmp_path):
    run_dir = tmp_path / "run"
    output = finish(run_dir, "--learning_rate=1e18", "--save_seconds=0", status=4)
    assert "the loss is not finite at step" in output
    assert "try --learning_rate=" in output
    for name, array in state(run_dir).items() if saved_step(run_dir) else ():
        assert np.isfinite(array).all(), name


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["--precision=mixed_bfloat16", "--batch_norm=per_replica"])
def test_replicas_continue_bit_for_bit(tmp_path, norm):
    flags = ("--strategy=mirrored", "--logical_cpus=2", norm, "--epochs=1")
    finish(tmp_path / "whole", *flags)
    run_dir = tmp_path / "cut"
    kill(run_dir, lambda: saved_step(run_dir) > 3, *flags, "--save_seconds=0")
    assert 3 < saved_step(run_dir) < saved_step(tmp_path / "whole")
    finish(run_dir, *flags)
    assert_same_state(state(tmp_path / "whole"), state(run_dir))


@pytest.mark.slow
def test_int8_aware_run_is_a_run_like_any_other(whole, tmp_path):
    flags = ("--quantize=int8", "--weight_bits=stage2.*=4", "--ranges=learned", "--norms=learning")
    flags += (f"--init={whole[0]}", "--save_seconds=0")
    output = finish(tmp_path / "whole", *flags, "--split=validation", recipe=())
    steps = saved_step(tmp_path / "whole")
    kill(tmp_path / "cut", lambda: saved_step(tmp_path / "cut") > steps // 3 + 2, *flags, recipe=())
    assert steps // 3 < saved_step(tmp_path / "cut") < steps
    finish(tmp_path / "cut", *flags, recipe=())
    assert_same_state(state(tmp_path / "whole"), state(tmp_path / "cut"))
    assert "top-1 accuracy" in output
    report = files.read_json(tmp_path / "whole" / "report.json")
    quantized = load_model(tmp_path / "whole" / "model.keras")
    assert any(layer.name.endswith("_range") for layer in quantized.layers)
    data = load_dataset("digits")
    hits = quantized.predict(normalize(data.validation.images), verbose=0).argmax(-1) == data.validation.labels
    assert report["validation"]["top1_accuracy"] == pytest.approx(hits.mean(), abs=1e-6)
    assert {e.step for e in events(tmp_path / "whole" / "tensorboard" / "validation")} >= {steps // 3, steps}


def test_teachers_are_those_of_the_recipe(monkeypatch):
    monkeypatch.setattr(starting, "finished_model", lambda flag, path, contract: (flag, path, contract))
    for fields, teachers in (
        ({}, []),
        ({"init": "a"}, []),
        ({"init": "a", "quantize": "int8"}, ["origin"]),
        ({"teacher": "b,c"}, [("teacher", "b", "contract"), ("teacher", "c", "contract")]),
        ({"init": "a", "quantize": "int8", "teacher": "b"}, [("teacher", "b", "contract")]),
    ):
        assert starting.load_teachers(recipes.Recipe(**fields), "contract", "origin") == teachers


def test_teachers_that_will_not_do(whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / "run")
    says = finish(tmp_path / "new", f"--teacher={tmp_path / 'run'}", "--image_size=16", status=2)
    assert "it was trained on other pictures or labels; give a run of the same --dataset and --image_size" in says
    history = (tmp_path / "run" / "history.csv").read_text().splitlines()
    (tmp_path / "run" / "history.csv").write_text("\n".join(history[:-1]) + "\n")
    says = finish(tmp_path / "new", f"--teacher={tmp_path / 'run'}", status=2)
    assert f"--teacher={tmp_path / 'run'}: this run is not finished; its own train.py command continues it" in says
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_a_taught_run_is_a_run_like_any_other(whole, tmp_path):
    flags = (f"--teacher={whole[0]},{whole[0]}/", "--epochs=1", "--save_seconds=0")
    finish(tmp_path / "whole", *flags)
    assert files.read_json(tmp_path / "whole" / "recipe.json")["recipe"]["teacher"] == f"{whole[0]},{whole[0]}"
    kill(tmp_path / "cut", lambda: saved_step(tmp_path / "cut") > 3, *flags)
    assert 3 < saved_step(tmp_path / "cut") < saved_step(tmp_path / "whole")
    finish(tmp_path / "cut", *flags)
    assert_same_state(state(tmp_path / "whole"), state(tmp_path / "cut"))
    finish(tmp_path / "labels", "--epochs=1")
    ends = [state(tmp_path / name)["model/logits/kernel"] for name in ("whole", "labels")]
    assert np.abs(ends[0] - ends[1]).max() > 1e-3  # it did learn something else


def test_int8_and_control_keep_the_recipe_of_their_origin(whole, tmp_path):
    for flag, quantize in (("--quantize=int8", "int8"), ("--control", "none")):
        kill(tmp_path / quantize, (tmp_path / quantize / "recipe.json").exists, flag, f"--init={whole[0]}", recipe=())
        recipe = files.read_json(tmp_path / quantize / "recipe.json")["recipe"]
        assert (recipe["quantize"], recipe["init"]) == (quantize, str(whole[0]))
        assert (recipe["width"], recipe["seed"], recipe["augmentation"]) == (0.5, 7, "crop,flip")
        assert (recipe["epochs"], recipe["learning_rate"]) == (3, pytest.approx(0.0005))


def events(folder):
    for path in sorted(pathlib.Path(folder).glob("events*")):
        with contextlib.suppress(tf.errors.DataLossError):  # what comes after a cut is lost to TensorBoard, too
            for record in tf_record.tf_record_iterator(str(path)):
                yield event_pb2.Event.FromString(record)


def test_tensorboard_files_hold_what_they_should(whole):
    run_dir, _ = whole
    with open(run_dir / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    scalars, images, graphs = {}, {}, 0
    for split in ("train", "validation"):
        for event in events(run_dir / "tensorboard" / split):
            graphs += bool(event.graph_def)
            for value in event.summary.value:
                tensor = tf.make_ndarray(value.tensor)
                if value.metadata.plugin_data.plugin_name == "images":
                    images[value.tag] = tensor
                elif value.metadata.plugin_data.plugin_name == "scalars":
                    scalars.setdefault((split, value.tag), {})[event.step] = float(tensor)
    for row in rows:
        step = int(row["step"])
        assert scalars["train", "loss"][step] == pytest.approx(float(row["loss"]), rel=1e-5)
        assert scalars["validation", "accuracy"][step] == pytest.approx(float(row["val_accuracy"]), rel=1e-5)
        assert scalars["train", "learning_rate"][step] == pytest.approx(float(row["learning_rate"]), rel=1e-5)
        assert scalars["train", "images_per_second"][step] > 0
    assert images["augmented batch"][2].startswith(b"\x89PNG")
    assert images["confusion"][2].startswith(b"\x89PNG")
    assert graphs == 1


def logged(run_dir):
    """Epochs of every log of a run, as often as it has them; TensorBoard's as steps, each tag a log of its own."""
    with open(run_dir / "history.csv", newline="") as file:
        logs = {"history.csv": [row["epoch"] for row in csv.DictReader(file)]}
    for split in ("train", "validation"):
        for event in events(run_dir / "tensorboard" / split):
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name == "scalars":
                    logs.setdefault((split, value.tag), []).append(event.step)
    return logs


def assert_each_epoch_once(run_dir, steps=35, epochs=3):
    logs = logged(run_dir)
    assert logs.pop("history.csv") == [str(epoch + 1) for epoch in range(epochs)]
    names = ("loss", "accuracy", "learning_rate", "images_per_second")
    expected = {("train", name) for name in names}
    expected |= {("validation", name) for name in ("loss", "accuracy", "balanced_accuracy", "macro_f1")}
    assert logs.keys() == expected
    for name, found in logs.items():
        assert sorted(found) == [steps * (epoch + 1) for epoch in range(epochs)], name


@pytest.mark.parametrize("number", [pytest.param(signal.SIGTERM, marks=pytest.mark.slow), signal.SIGKILL])
def test_every_log_holds_every_epoch_once(tmp_path, number):
    run_dir = tmp_path / "run"
    process = start(run_dir)
    wait_until(lambda: saved_step(run_dir) >= 35, process)  # the steps of the first epoch: now it is validated
    process.send_signal(number)
    assert process.wait(timeout=500) in (128 + number, -number)
    process = start(run_dir)
    wait_until((run_dir / "history.csv").exists, process)  # the first epoch's row: TensorBoard's come next
    process.send_signal(number)
    assert process.wait(timeout=500) in (128 + number, -number)
    finish(run_dir)
    assert_each_epoch_once(run_dir)


def test_what_tensorboard_lacks_is_written_at_the_next_start(whole, tmp_path):
    run_dir = shutil.copytree(whole[0], tmp_path / "run")
    (run_dir / "history.csv").unlink()  # or it would be finished
    shutil.rmtree(run_dir / "tensorboard" / "train")
    first, *others = sorted((run_dir / "tensorboard" / "validation").glob("events*"))
    first.write_bytes(first.read_bytes()[: first.stat().st_size // 2])  # as a kill in the middle of a write leaves it
    for other in others:
        other.unlink()
    finish(run_dir)
    assert_each_epoch_once(run_dir)


@pytest.mark.slow
def test_run_needs_more_pictures_than_a_batch(tmp_path):
    output = finish(tmp_path / "run", "--batch_size=4000", status=2)
    assert "--batch_size=4000: there are only 1151 training pictures; try --batch_size=125 --learning" in output
    assert not (tmp_path / "run").exists()
    output = finish(tmp_path / "run", "--batch_size=600", "--epochs=1")
    assert "few steps an epoch: 1; more would be made by --batch_size=75 --learning_rate=0.013" in output


def test_full_disk_leaves_nothing_half_written(tmp_path, small_disk):
    disk = small_disk(tmp_path / "disk", 450)
    output = finish(disk / "run", status=2)
    assert "No space left" in output
    for _ in disk.rglob("latest.npz"):  # one that fitted is whole
        assert state(disk / "run")
    assert not [p for p in disk.rglob(".*") if p.suffix in (".npz", ".keras")]
