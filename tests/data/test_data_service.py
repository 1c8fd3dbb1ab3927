"""Batches that are made in parts, and by other processes: the same ones, in the same order."""

import queue
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from processes import assert_same_state, finish, free_ports, start, state, wait_until
from small_sets import make_folder, write_tones

from benchmarks.disturbed_run import saved_step
from keras_resnet.data import DataError, data_service, given
from keras_resnet.data.loading import load_dataset


def folder(tmp_path, **given):
    return load_dataset(str(make_folder(tmp_path, size=(40, 50))), image_size=32, **given)


def mirrored_neighbours(images, labels, seed):
    """Mixes each example with the next one of the whole batch."""
    del seed
    return images[::-1], labels


@pytest.mark.parametrize("mix", [None, mirrored_neighbours])
@pytest.mark.parametrize("kind", ["arrays", "files"])
def test_parts_of_a_batch_are_those_of_the_whole(tmp_path, kind, mix):
    data = load_dataset("digits") if kind == "arrays" else folder(tmp_path, original=True)
    augment = ("crop", "flip", "jitter", "cutout") if kind == "arrays" else ("resized_crop", "flip", "erase")
    how = {"augment": augment, "pixels": True, "mix": mix, "first_step": 1}
    whole = list(data.training(6, 3, 2, **how).as_numpy_iterator())
    for number in range(3):
        part = list(data.training(6, 3, 2, part=(number, 3), **how).as_numpy_iterator())
        assert len(part) == len(whole) > 0
        for (images, labels), (all_images, all_labels) in zip(part, whole, strict=True):
            np.testing.assert_array_equal(images, all_images[2 * number : 2 * number + 2])
            np.testing.assert_array_equal(labels, all_labels[2 * number : 2 * number + 2])


def test_a_part_reads_no_other_files(tmp_path):
    data = folder(tmp_path, original=True)
    first = next(data.training(4, 0, 0, augment=("resized_crop",), pixels=True).as_numpy_iterator())
    order = np.random.default_rng((0, 0)).permutation(len(data.train))
    for path in data.train.paths[order[2:4]]:
        open(path, "w").close()
    part = next(data.training(4, 0, 0, augment=("resized_crop",), pixels=True, part=(0, 2)).as_numpy_iterator())
    np.testing.assert_array_equal(part[0], first[0][:2])


def test_what_comes_early_waits_for_its_turn():
    def given(*came):
        arrived = queue.Queue()
        for one in came:
            arrived.put(one)
        return list(data_service._in_order(arrived, range(2, 5), 0.5))

    assert given((4, "c"), (2, "a"), (3, "b"), None) == ["a", "b", "c"]
    with pytest.raises(data_service.ServiceLost, match="the work ended before step 3 of an epoch"):
        given((2, "a"), (4, "c"), None)
    with pytest.raises(data_service.ServiceLost, match="batch of step 2 of an epoch did not come, but 64 later ones"):
        given(*((step, step) for step in range(3, 70)))
    with pytest.raises(data_service.ServiceLost, match="gone"):
        given((2, "a"), OSError("gone"))


def test_an_epoch_may_be_longer_than_what_may_wait():
    arrived = queue.Queue()
    for step in range(3 * data_service.MOST_WAITING):
        arrived.put((step ^ 1, step ^ 1))  # each second one before the first
    steps = range(3 * data_service.MOST_WAITING)
    assert list(data_service._in_order(arrived, steps, 5)) == list(steps)


def test_a_service_that_is_silent_is_lost():
    with pytest.raises(data_service.ServiceLost, match=r"no batch came for 0.01 s"):
        next(data_service._in_order(queue.Queue(), range(3), 0.01))


@pytest.mark.parametrize(
    "address", ["localhost:5050", "grpc://localhost", "grpc://a:x", "grpc://a:1/x", "grpc://:5", "grpc://a@b:1"]
)
def test_what_is_no_address_is_refused(address):
    with pytest.raises(ValueError, match="expected an address, as grpc://localhost:5050"):
        data_service.check(address)


def test_what_needs_python_is_refused(tmp_path):
    data = folder(tmp_path, original=True)
    with pytest.raises(DataError, match="Pillow resizes the pictures here; --augmentation=resized_crop,flip"):
        data.check_service(data_service.Service("grpc://localhost:1", 1), ("flip",))
    data.check_service(data_service.Service("grpc://localhost:1", 1), ("resized_crop", "flip"))
    data.train.layouts[3] = 0
    with pytest.raises(DataError, match=f"Pillow alone reads {data.train.paths[3].decode()}, and 0 others"):
        data.check_service(data_service.Service("grpc://localhost:1", 1), ("resized_crop", "flip"))


def test_what_is_no_files_or_arrays_is_refused(tmp_path):
    pictures = tf.data.Dataset.from_tensor_slices((np.zeros((4, 32, 32, 3), np.uint8), [0, 1, 0, 1]))
    sets = [
        ("it is a Python program's own", given.make((pictures, pictures), load_dataset("digits").contract)),
        ("its order can't be divided", load_dataset("kr_tiny_photos", data_dir=str(tmp_path), image_size=64)),
    ]
    for sentence, data in sets:
        with pytest.raises(DataError, match=f"--data_service=grpc://localhost:1: .*{sentence}"):
            data.check_service(data_service.Service("grpc://localhost:1", 1), ("resized_crop", "flip"))


def processes(*parts):
    """Processes of a service that listen; `parts`: the arguments of each."""
    started = []
    for part in parts:
        command = [sys.executable, "-m", "keras_resnet.program", "data_service", *map(str, part)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
        lines = iter(started[-1].stdout.readline, "")
        assert any("listens at port" in line for line in lines)
    return started


@pytest.fixture(scope="module")
def service():
    """Address of a service, and its processes: a dispatcher and two workers."""
    ports = free_ports(3)
    address = f"grpc://localhost:{ports[0]}"
    workers = [("worker", address, "--host=localhost", f"--port={port}") for port in ports[1:]]
    started = processes(("dispatcher", f"--port={ports[0]}"), *workers)
    yield address, started
    for process in started:
        process.kill()


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("photos"), n=400, size=(40, 50))


@pytest.mark.slow
def test_a_service_changes_no_bit_and_its_loss_is_said(service, photos, tmp_path):
    address, started = service
    small = [f"--dataset={photos}/", "--depth=8", "--width=0.25", "--image_size=32", "--batch_size=4", "--seed=7"]
    small += ["--augmentation=resized_crop,flip", "--stem=small"]
    served = [f"--data_service={address}", "--wait_seconds=15"]
    finish(tmp_path / "alone", "--epochs=3", recipe=small)
    finish(tmp_path / "served", "--epochs=3", *served, recipe=small)
    assert_same_state(state(tmp_path / "served"), state(tmp_path / "alone"))
    training = start(tmp_path / "lost", "--epochs=3", "--save_seconds=0", *served, recipe=small)
    wait_until(lambda: saved_step(tmp_path / "lost") > 200, training)  # in the second epoch
    started[1].kill()
    said = training.communicate(timeout=300)[0]
    assert training.returncode == 75
    assert "train: --data_service: " in said and "the same command continues" in said and "Traceback" not in said
    finish(tmp_path / "lost", "--epochs=3", *served, recipe=small)  # with the one that is left, from within an epoch
    assert_same_state(state(tmp_path / "lost"), state(tmp_path / "alone"))


def test_voices_of_the_whole_batch_are_added_to_a_part(tmp_path):
    data = load_dataset(f"{write_tones(tmp_path, {'train': 8, 'test': 2})}/", seconds=0.25, bands=8)
    whole = list(data.training(8, 3, 1, augment=("babble",), pixels=True).as_numpy_iterator())
    part = list(data.training(8, 3, 1, augment=("babble",), pixels=True, part=(1, 4)).as_numpy_iterator())
    for (images, _), (all_images, _) in zip(part, whole, strict=True):
        np.testing.assert_array_equal(images, all_images[2:4])
