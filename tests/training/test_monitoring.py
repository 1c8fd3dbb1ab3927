"""What may be watched of a training: numbers of steps, Weights & Biases, a profile. None of it changes the training."""

import json
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from processes import assert_same_state, finish, start, state
from tensorboard.plugins.hparams import plugin_data_pb2

from keras_resnet import runs
from keras_resnet.history import read_history
from keras_resnet.training import monitoring

STEPS = ("step_loss", "step_learning_rate", "gradient_norm", "weight_norm")


def curves(run_dir):
    """Tag -> {step: number} of what TensorBoard's training files hold."""
    found = {}
    for path in sorted((run_dir / "tensorboard" / "train").glob("events*")):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name == "scalars":
                    found.setdefault(value.tag, {})[event.step] = float(tf.make_ndarray(value.tensor))
    return found


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """Two epochs of 35 steps; and what they printed."""
    run_dir = tmp_path_factory.mktemp("watched") / "run"
    return run_dir, finish(run_dir, "--epochs=2", "--log_steps=5", "--profile")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("plain") / "run"
    finish(run_dir, "--epochs=2")
    return run_dir


def test_watching_changes_nothing(watched, plain):
    assert_same_state(state(watched[0]), state(plain))
    assert not curves(plain).keys() & set(STEPS)


def test_numbers_of_steps_are_those_of_the_epochs(watched):
    rows, found = read_history(runs.Run(watched[0]).history), curves(watched[0])
    for name in STEPS:
        assert sorted(found[name]) == list(range(5, 71, 5))
    for row in rows:
        steps = [step for step in found["step_loss"] if row["step"] - 35 < step <= row["step"]]
        assert np.mean([found["step_loss"][step] for step in steps]) == pytest.approx(row["loss"], rel=1e-5)
        assert found["step_learning_rate"][row["step"]] == pytest.approx(row["learning_rate"], rel=1e-5)
    learned = [array for name, array in state(watched[0]).items() if name.startswith("model/") and "moving" not in name]
    length = np.sqrt(sum(np.square(array, dtype="float64").sum() for array in learned))
    assert found["weight_norm"][70] == pytest.approx(length, rel=1e-5)


def test_a_row_tells_of_all_its_steps_across_epochs(tmp_path):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="zeros")])
    model.compile("sgd", lambda y, z: y[:, 0] + 0 * z[:, 0])  # the targets are the losses
    model.optimizer.learning_rate = 0.0
    progress, rows = types.SimpleNamespace(step=0), {}
    log = monitoring.StepLog(
        5, progress, lambda step: 0.0, tf.constant(0.0), lambda step, row: rows.update({step: row})
    )
    losses = np.arange(14, dtype="float32")
    for part in np.split(losses, 2):
        model.fit(part[:, None], part[:, None], 1, shuffle=False, verbose=0, callbacks=[log])
        progress.step += len(part)
    assert {step: row["step_loss"] for step, row in rows.items()} == {5: 2.0, 10: 7.0}


@pytest.mark.slow
def test_two_replicas_tell_of_the_whole_batch(plain, tmp_path):
    one, two = (tmp_path / name for name in ("one", "two"))
    finish(one, "--epochs=1", "--log_steps=1")
    finish(two, "--epochs=1", "--log_steps=1", "--strategy=mirrored", "--logical_cpus=2")
    one, two = curves(one), curves(two)
    for name in STEPS:
        assert two[name][1] == pytest.approx(one[name][1], rel=1e-3), name
        assert two[name][3] == pytest.approx(one[name][3], rel=5e-2), name


def test_the_recipe_is_in_tensorboard(plain):
    for path in (plain / "tensorboard").glob("events*"):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                if value.tag == "_hparams_/session_start_info":
                    data = plugin_data_pb2.HParamsPluginData.FromString(value.metadata.plugin_data.content)
                    fields = data.session_start_info.hparams
                    assert fields["width"].number_value == 0.5
                    assert fields["augmentation"].string_value == "crop,flip"
                    assert "data_dir" not in fields
                    return
    raise AssertionError("no hyperparameters")


def test_a_profile_names_the_convolutions(watched):
    run_dir, output = watched
    (path,) = run_dir.glob("tensorboard/plugins/profile/*/*.xplane.pb")
    assert f"profile of 10 steps: {path}" in output
    seconds = monitoring.operations(path)
    kinds = ("Conv2D", "Conv2DBackpropFilter", "Conv2DBackpropInput")
    assert sum(seconds[kind] for kind in kinds) > 0.5 * sum(seconds.values())
    assert "ms a step  Conv2DBackpropFilter" in output


@pytest.mark.parametrize(("batch_size", "steps"), [(300, 3), (230, 5)])
def test_a_profile_of_too_few_steps_says_so(tmp_path, batch_size, steps):
    output = finish(tmp_path / "run", "--epochs=1", f"--batch_size={batch_size}", "--profile")
    assert f"--profile: it begins after 5 steps, and there were {steps}; nothing is profiled" in output


def wandb_records(data):
    """Yields what a .wandb file holds: LevelDB's log format, behind 7 bytes.

    https://github.com/google/leveldb/blob/main/doc/log_format.md: blocks of 32 kB; pieces of a checksum (4 bytes), a
    length (2) and a kind (1: whole, 2: first, 3: middle, 4: last).
    """
    at, record = 7, b""
    while at < len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        record += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield record
            record = b""


def test_wandb_gets_every_row_offline(plain, tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    from wandb.proto import wandb_internal_pb2

    monkeypatch.setenv("WANDB_MODE", "offline")
    run_dir = tmp_path / "run"
    process = start(run_dir, "--epochs=2", "--wandb", "--log_steps=7")
    assert process.wait(timeout=500) == 0, process.stdout.read()
    assert_same_state(state(run_dir), state(plain))
    (path,) = run_dir.glob("wandb/offline-run-*/*.wandb")
    logged, config = {}, {}
    for data in wandb_records(path.read_bytes()):
        record = wandb_internal_pb2.Record.FromString(data)
        items = {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
        if items:
            logged.setdefault(items["_step"], {}).update(items)
        for update in record.run.config.update:
            config[update.key] = json.loads(update.value_json)
    assert config["width"] == 0.5 and config["epochs"] == 2
    for row in read_history(runs.Run(run_dir).history):
        assert {name: logged[row["step"]][name] for name in row} == row
    assert sorted(step for step in logged if "gradient_norm" in logged[step]) == list(range(7, 71, 7))


def test_wandb_that_is_missing_is_told_before_tensorflow(tmp_path, monkeypatch):
    from keras_resnet.reports import wandb_writer

    monkeypatch.setattr(wandb_writer.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'keras_resnet\[wandb\]'"):
        wandb_writer.check()
