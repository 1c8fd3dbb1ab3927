"""Two replicas against one device, in every precision, on logical CPU devices; and what goes together."""

import concurrent.futures
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_resnet import files
from keras_resnet.history import read_history
from keras_resnet.training import distribution

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
SCRIPT = pathlib.Path(__file__).with_name("mirrored_steps.py")


@pytest.fixture(scope="module")
def steps(tmp_path_factory):
    """What ten steps did to the weights, for each strategy and precision."""
    folder = tmp_path_factory.mktemp("steps")

    def run(some):
        command = [sys.executable, SCRIPT, folder, *map("-".join, some)]
        subprocess.run(command, check=True, capture_output=True, timeout=500)

    def read(job):
        with np.load(folder / f"{'-'.join(job)}.npz") as saved:
            return dict(saved)

    jobs = [(strategy, precision) for precision in (*PRECISIONS, "int8") for strategy in ("one_device", "mirrored")]
    jobs += [("per_replica", precision) for precision in PRECISIONS] + [("by_hand", "float32")]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        # Collective operations of a second strategy would meet those of the first.
        one_device = [job for job in jobs if job[0] in ("one_device", "by_hand")]
        list(pool.map(run, [one_device, *([job] for job in jobs if job not in one_device)]))
    return {job: read(job) for job in jobs}


def update(result, trainable=None):
    """The whole change of the weights as one vector."""
    names = sorted(
        name[6:] for name in result if name.startswith("after/") and (trainable is None or trainable in name)
    )
    return np.concatenate([(result[f"after/{n}"] - result[f"before/{n}"]).ravel() for n in names])


def test_float32_replicas_equal_one_device(steps):
    one, two = steps["one_device", "float32"], steps["mirrored", "float32"]
    assert (one["replicas"], two["replicas"]) == (1, 2)
    assert np.abs(update(one)).max() > 1e-3  # something was learned
    # Moving statistics too: they are of the whole batch on every replica.
    assert np.abs(update(one) - update(two)).max() < 1e-5
    np.testing.assert_allclose(one["losses"], two["losses"], rtol=1e-4)


@pytest.mark.parametrize("precision", PRECISIONS[1:])
def test_mixed_replicas_follow_one_device(steps, precision):
    one, two = steps["one_device", precision], steps["mirrored", precision]
    np.testing.assert_allclose(one["losses"][0], two["losses"][0], rtol=0.01)
    a, b = update(one), update(two)
    assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) >= 0.99


@pytest.mark.parametrize("precision", PRECISIONS)
def test_replicas_do_not_drift_apart(steps, precision):
    assert steps["mirrored", precision]["spread"] < 1e-6


def test_every_optimizer_does_the_same_on_two_replicas():
    """Clipped by the norm of the whole batch's gradient, and with an average of the weights."""
    script = SCRIPT.with_name("mirrored_optimizers.py")
    output = subprocess.run([sys.executable, script], check=True, capture_output=True, text=True, timeout=500).stdout
    found = json.loads(output.splitlines()[-1])
    assert set(found) == {"sgd", "adamw", "lamb", "lion", "muon"}
    for name, of in found.items():
        assert of["difference"] < 1e-5 and of["spread"] == 0 and of["average_behind"] > 1e-4, (name, of)


def test_an_infinite_gradient_on_any_replica_is_a_step_that_none_takes():
    script = SCRIPT.with_name("infinite_gradients.py")
    output = subprocess.run([sys.executable, script], check=True, capture_output=True, text=True, timeout=100).stdout
    first, second, finite = json.loads(output.splitlines()[-1])
    assert (first, second) == ([1 / 2, 1, 1.0, 1.0], [1 / 4, 2, 1.0, 1.0])  # the schedule goes on
    # Two gradients of the first scale, at a rate of 0.1, divided by today's scale.
    assert finite == pytest.approx([1 / 4, 3, 0.2, 0.2])


def test_int8_aware_replicas_follow_one_device(steps):
    one, two = steps["one_device", "int8"], steps["mirrored", "int8"]
    np.testing.assert_allclose(one["losses"][0], two["losses"][0], rtol=1e-5)
    # A value at the edge of a step can be rounded up on one and down on the other: equal but for that.
    a, b = update(one), update(two)
    assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) >= 0.999
    ranges = [name for name in two if name.startswith("after/") and name.endswith(("/low", "/high"))]
    assert len(ranges) > 20
    for name in ranges:
        np.testing.assert_array_equal(one[name], two[name], err_msg=name)
    assert two["spread"] == 0  # of everything on the two replicas, the ranges included


@pytest.mark.parametrize("precision", PRECISIONS[1:])
def test_mixed_precision_learns_as_float32_does(steps, precision):
    a, b = update(steps["one_device", "float32"], "kernel"), update(steps["one_device", precision], "kernel")
    assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) >= 0.98


@pytest.mark.parametrize("precision", [PRECISIONS[0], pytest.param(PRECISIONS[1], marks=pytest.mark.slow)])
def test_validation_pictures_need_not_fill_the_replicas(tmp_path, precision):
    """257: the last batch has one picture for two replicas; oneDNN ends the process for a part without any."""
    for split, count in (("train", 32), ("validation", 257), ("test", 2)):
        for i in range(count):
            path = tmp_path / "data" / split / ("dark", "light")[i % 2] / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((16, 16, 3), i % 2 * 128 + i % 100, np.uint8)).save(path)
    flags = ("--image_size=16", "--depth=8", "--width=0.25", "--batch_size=16", "--epochs=1", "--augmentation=flip")
    replicas = ("--strategy=mirrored", "--logical_cpus=2", f"--precision={precision}")
    command = [sys.executable, SCRIPT.parents[2] / "train.py", f"--dataset={tmp_path / 'data'}/", *flags, *replicas]
    subprocess.run([*command, f"--run_dir={tmp_path / 'run'}"], check=True, timeout=500)
    (row,) = read_history(tmp_path / "run" / "history.csv")
    report = files.read_json(tmp_path / "run" / "report.json")["validation"]
    assert report["images"] == 257
    # The report computes in float32, on one device.
    assert row["val_loss"] == pytest.approx(report["loss"], rel=1e-5 if precision == "float32" else 0.02)


def test_per_replica_norms_are_two_halves_and_the_mean_of_their_statistics(steps):
    two, by_hand = steps["per_replica", "float32"], steps["by_hand", "float32"]
    assert (two["replicas"], by_hand["replicas"]) == (2, 1)
    assert np.abs(update(by_hand)).max() > 1e-3
    for part in ("kernel", "gamma", "moving_mean", "moving_variance"):
        assert np.abs(update(two, part) - update(by_hand, part)).max() < 1e-5, part
    np.testing.assert_allclose(two["losses"], by_hand["losses"], rtol=1e-4)
    # And it is another training than with statistics of the whole batch.
    assert np.abs(update(two, "moving_variance") - update(steps["mirrored", "float32"], "moving_variance")).max() > 1e-4


@pytest.mark.parametrize("precision", PRECISIONS)
def test_per_replica_statistics_and_weights_are_equal_on_all_replicas(steps, precision):
    assert steps["per_replica", precision]["spread"] == 0
    a, b = update(steps["per_replica", "float32"]), update(steps["per_replica", precision])
    assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) >= 0.98  # its teacher computes in that precision, too


class ChoiceTest(tf.test.TestCase):
    def test_cpu_defaults(self):
        hardware = distribution.choose()
        self.assertEqual(
            (hardware.replicas, hardware.precision, hardware.xla, hardware.norm), (1, "float32", False, "fused")
        )
        self.assertIn("one_device · float32 · no XLA · fused batch norm", hardware.description)

    def test_batch_norm_is_of_several_devices(self):
        self.assertEqual(distribution.choose(batch_norm="per_replica").norm, "fused")
        self.assertEqual(distribution.choose(batch_norm="synchronized").norm, "fused")

    def test_xla_brings_its_own_norm(self):
        self.assertEqual(distribution.choose(compile="xla").norm, "stock")

    def test_what_does_not_go_together(self):
        with self.assertRaisesRegex(ValueError, "--compile=xla --strategy=mirrored: .* drop --compile"):
            distribution.choose("mirrored", compile="xla")


if __name__ == "__main__":
    tf.test.main()


def test_replicas_of_one_machine_share_its_part_of_a_batch():
    program = """
import keras_resnet
import tensorflow as tf
from keras_resnet.training import distribution
distribution.split_cpu(2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
batches = tf.data.Dataset.from_tensor_slices((tf.range(12), -tf.range(12))).batch(6, drop_remainder=True)
for images, labels in distribution.of_each(strategy, batches):
    print([one.numpy().tolist() for one in (*images.values, *labels.values)])
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=200)
    first, second = map(json.loads, said.stdout.splitlines())
    assert first == [[0, 1, 2], [3, 4, 5], [0, -1, -2], [-3, -4, -5]]
    assert second[0] == [6, 7, 8] and second[1] == [9, 10, 11]
