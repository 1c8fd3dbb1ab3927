"""Two and three real processes that train as one, over loopback; killed, asked to stop, started wrongly."""

import signal

import numpy as np
import pytest
from processes import assert_same_state, ended, finish, start_workers, state, wait_until
from small_sets import make_folder

from benchmarks.disturbed_run import saved_step
from keras_resnet.history import read_history

pytestmark = pytest.mark.slow
# Few steps: what is rounded otherwise is soon another training.
RECIPE = ("--dataset=digits", "--epochs=4", "--width=0.5", "--batch_size=128", "--seed=7", "--augmentation=crop,flip")


def trained(run_dir, *flags, recipe=RECIPE, **given):
    """Workers that train to the end; what they said."""
    said = ended(start_workers(run_dir, *flags, recipe=recipe, **given))
    assert [status for status, _ in said] == [0] * len(said), said
    return [text for _, text in said]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A training of two workers that nothing disturbed."""
    run_dir = tmp_path_factory.mktemp("cluster") / "run"
    return run_dir, trained(run_dir)


def test_the_chief_alone_writes_and_speaks(run):
    run_dir, (chief, other) = run
    assert (run_dir / "report.json").exists() and len(read_history(run_dir / "history.csv")) == 4
    assert not run_dir.with_name("run-1").exists()
    assert "epoch   4/4" in chief and "report: " in chief
    assert "epoch" not in other.split("-> ")[1] and "2 replica(s)" in other  # nor a progress bar
    numbers = [path.name.split(".")[-2] for path in (run_dir / "tensorboard").rglob("events*")]
    assert len(numbers) == len({*numbers})  # of a process each writer has another


@pytest.mark.parametrize(
    ("count", "flags"),
    [
        (2, ["--precision=mixed_bfloat16"]),
        (2, ["--precision=mixed_float16"]),
        (2, ["--optimizer=muon", "--learning_rate=0.01", "--ema=0.9"]),
        (3, ["--batch_size=96", "--batch_norm=per_replica"]),
    ],
)
def test_workers_end_as_replicas_in_every_precision(tmp_path, count, flags):
    flags = [*flags, "--epochs=1"]
    trained(tmp_path / "run", *flags, count=count)
    finish(tmp_path / "mirrored", "--strategy=mirrored", f"--logical_cpus={count}", *flags, recipe=RECIPE)
    two, one = state(tmp_path / "run"), state(tmp_path / "mirrored")
    # Halves are rounded in steps of their own; Muon makes every direction as large as the others, rounding's too.
    near = 0.02 if "float16" in str(flags) or "muon" in str(flags) else 1e-3
    for name, array in one.items():
        np.testing.assert_allclose(two[name], array, rtol=0, atol=near * np.abs(array).max() + 1e-6, err_msg=name)
    rows = [read_history(tmp_path / name / "history.csv")[0] for name in ("run", "mirrored")]
    assert rows[0]["val_accuracy"] == pytest.approx(rows[1]["val_accuracy"], abs=0.02)
    assert rows[0]["loss"] == pytest.approx(rows[1]["loss"], rel=1e-3)


def test_each_reads_its_part_of_files_as_one_process_does(tmp_path):
    photos = make_folder(tmp_path / "photos", n=30, size=(40, 50))
    recipe = [f"--dataset={photos}/", "--depth=8", "--width=0.25", "--image_size=32", "--batch_size=8", "--epochs=1"]
    recipe += ["--augmentation=resized_crop,flip,jitter", "--stem=small", "--seed=7"]
    trained(tmp_path / "run", recipe=recipe)
    finish(tmp_path / "mirrored", "--strategy=mirrored", "--logical_cpus=2", recipe=recipe)
    two, one = state(tmp_path / "run"), state(tmp_path / "mirrored")
    for name, array in one.items():
        np.testing.assert_allclose(two[name], array, rtol=0, atol=1e-3 * np.abs(array).max() + 1e-6, err_msg=name)


@pytest.mark.parametrize("who", [0, 1])
def test_a_worker_that_is_killed_ends_all_and_they_continue_with_the_same_bits(run, tmp_path, who):
    started = start_workers(tmp_path / "run", "--save_seconds=0", recipe=RECIPE)
    wait_until(lambda: saved_step(tmp_path / "run") > 9, started[0])  # in the second epoch
    started[who].kill()
    said = ended(started, 240)
    assert said[who][0] == -signal.SIGKILL
    status, text = said[1 - who]
    assert status == 75 and f"worker {1 - who} (127.0.0.1:" in text and "another worker is gone; start all" in text
    assert "Traceback" not in text
    trained(tmp_path / "run")
    assert_same_state(state(tmp_path / "run"), state(run[0]))


@pytest.mark.parametrize("who", [0, 1])
def test_a_signal_to_one_saves_and_stops_all(run, tmp_path, who):
    started = start_workers(tmp_path / "run", "--save_seconds=0", recipe=RECIPE)
    wait_until(lambda: saved_step(tmp_path / "run") > 9, started[0])
    started[who].send_signal(signal.SIGTERM)
    said = ended(started, 240)
    done = saved_step(tmp_path / "run")
    assert [status for status, _ in said] == [128 + signal.SIGTERM] * 2
    assert all(f"SIGTERM: saved at step {done}; the same command continues" in text for _, text in said)
    trained(tmp_path / "run")
    assert_same_state(state(tmp_path / "run"), state(run[0]))


def test_workers_that_do_not_go_together_are_named(tmp_path):
    for others, sentence in (
        (["--batch_size=64"], "was started with --batch_size=64 (the chief has 128); give all workers the same flags"),
        (["--log_steps=5"], "was started with --log_steps=5 (the chief has 0)"),
        (["--learning_rate=0.01"], "was started with --learning_rate=0.01 (the chief has"),
    ):
        said = ended(start_workers(tmp_path / "run", others=others, recipe=RECIPE))
        assert all(status == 2 and "worker 1 (127.0.0.1:" in text and sentence in text for status, text in said), said
    assert not (tmp_path / "run").exists()


def test_a_training_that_starts_from_another_continues_and_is_extended(run, tmp_path):
    trained(tmp_path / "run", f"--init={run[0]}", "--epochs=1", "--log_steps=2")
    trained(tmp_path / "run", f"--init={run[0]}", "--epochs=2", "--log_steps=2")
    assert [row["epoch"] for row in read_history(tmp_path / "run" / "history.csv")] == [0, 1, 2]


def test_other_pictures_on_one_worker_are_named(tmp_path):
    for name, seed in (("one", 0), ("other", 1)):
        make_folder(tmp_path / name, size=(32 + seed, 40), seed=seed)
    flags = ["--epochs=1", "--width=0.25", "--depth=8", "--batch_size=8", "--image_size=32"]
    recipe = [f"--dataset={tmp_path / 'one'}/", *flags]
    said = ended(start_workers(tmp_path / "run", recipe=recipe, others=[f"--dataset={tmp_path / 'other'}/"]))
    assert all(status == 2 and "worker 1" in text and "has other data" in text for status, text in said), said


def test_a_finished_run_is_finished_for_all(run):
    chief, other = trained(run[0])
    assert "this run is finished; nothing to train" in chief and "Traceback" not in other
