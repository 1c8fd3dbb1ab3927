"""What happens after a step: looked at seldom, lost never."""

import math
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.training import callbacks
from keras_resnet.training.checkpoints import Progress


class Log:
    """A number that counts how often it is fetched."""

    fetched = 0

    def __init__(self, number):
        self.number = number

    def __float__(self):
        Log.fetched += 1
        return self.number


def watch_steps(losses, progress=None, received=(), save_seconds=1000):
    """Shows a `StepWatch` steps of these losses; returns it and the steps at which it saved."""
    saves, progress = [], progress or Progress()
    watch = callbacks.StepWatch(progress, lambda: bool(received), lambda: saves.append(progress.step), save_seconds)
    watch.set_model(keras.Sequential())
    Log.fetched = 0
    for loss in losses:
        watch.model.stop_training = False
        watch.on_train_batch_end(0, {"loss": Log(loss), "accuracy": Log(0.5)})
        if watch.model.stop_training:
            break
    watch.fetched = Log.fetched
    watch.on_train_end()
    return watch, saves


def test_quick_steps_are_counted_without_waiting_for_each():
    watch, saves = watch_steps([2.0] * 999 + [3.0])
    assert watch.fetched <= 4  # the first step, and no second has passed since
    assert (watch.progress.step, watch.finite, saves) == (1000, True, [])
    assert watch.progress.partial == {"steps": 1000, "loss": 3.0, "accuracy": 0.5}  # Keras' means are of the epoch
    assert len(watch.step_seconds) == 2


def test_means_go_on_after_an_interruption():
    progress = Progress(step=7, partial={"steps": 3, "loss": 1.0, "accuracy": 1.0})
    watch_steps([9.0, 2.0], progress)
    assert progress.step == 9
    assert progress.partial == pytest.approx({"steps": 5, "loss": 1.4, "accuracy": 0.8})


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_the_step_whose_loss_is_not_finite_is_known_afterwards(bad):
    watch, saves = watch_steps([2.0] * 56 + [bad] * 44)
    assert not watch.finite
    assert watch.model.stop_training
    assert (watch.progress.step, saves) == (56, [])
    assert watch.progress.partial == {"steps": 56, "loss": 2.0, "accuracy": 0.5}


def test_a_save_and_a_signal_see_every_step():
    watch, saves = watch_steps([2.0] * 5, save_seconds=-1)
    assert saves == [1, 2, 3, 4, 5]
    watch, saves = watch_steps([2.0] * 5, received=[15])
    assert (watch.progress.step, saves) == (1, [])
    watch, saves = watch_steps([2.0, math.nan], save_seconds=-1)
    assert saves == [1]


def test_slow_steps_are_looked_at_one_by_one(monkeypatch):
    monkeypatch.setattr(callbacks.StepWatch, "LOOK_SECONDS", 0.0)
    watch, _ = watch_steps([2.0] * 10)
    assert watch.fetched == 20
    assert len(watch.step_seconds) == 10


def test_a_step_takes_its_part_of_the_time_between_two_looks(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    saved, progress = [], Progress(seconds=100.0)
    watch = callbacks.StepWatch(
        progress, lambda: False, lambda: saved.append((clock[0], *progress.partial.values())), 5.1
    )
    watch.set_model(keras.Sequential())
    for step in range(41):
        clock[0] += 5.0 if not step else 0.25  # the first one traces
        watch.on_train_batch_end(step, {"loss": Log(2.0), "accuracy": Log(0.5)})
    watch.on_train_end()
    assert progress.seconds == 115
    assert watch.median_step_seconds() == 0.25
    assert saved == [(5.25, 2, 2.0, 0.5, 0.25), (10.5, 23, 2.0, 0.5, 0.25)]


def test_fit_hands_out_tensors():
    class Logs(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs):
            kinds.append(tf.is_tensor(logs["loss"]))

    kinds = []
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    images = np.zeros((8, 2), "float32")
    history = model.fit(
        images, images[:, :1], batch_size=2, verbose=0, callbacks=callbacks.StepCallbacks([Logs()], model)
    )
    assert kinds == [True] * 4
    assert isinstance(history.history["loss"][0], float)


def test_the_bar_shows_numbers_when_it_is_drawn(capsys):
    bar = callbacks.ProgressBar(epochs=1, steps=1000, batch_size=2, first_step=0)
    Log.fetched = 0
    for step in range(1000):
        if step == 500:
            bar.bar.last_print_t = time.time() - 100
        bar.on_train_batch_end(step, {"loss": Log(2.5), "accuracy": Log(0.5)})
    bar.close()
    assert Log.fetched == 2
    assert "loss=2.500, accuracy=0.500" in capsys.readouterr().err
