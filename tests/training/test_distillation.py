"""A student's loss is against its teacher, its metrics against the labels, and its teacher stays as it is."""

import keras
import numpy as np

from keras_resnet import ResNet
from keras_resnet.device.classes import Classes
from keras_resnet.tasks import metrics
from keras_resnet.tasks.losses import classification
from keras_resnet.training.distillation import Student


def networks(number=2):
    keras.utils.set_random_seed(0)
    return [ResNet(8, (16, 16, 3), 10, width=0.5) for _ in range(number)]


def test_learns_the_answers_of_its_teacher():
    images = np.random.default_rng(0).normal(0, 0.5, (64, 16, 16, 3)).astype("float32")
    model, teacher = networks()
    before = teacher.get_weights()
    expected = teacher.predict(images, verbose=0)
    student = Student(model, [teacher])
    assert [w.path for w in student.weights] == [w.path for w in model.weights]
    # The labels are all wrong: whoever learned them would be right nowhere.
    labels = expected.argmin(-1)
    accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
    student.compile(keras.optimizers.Adam(0.01), classification(0.1), metrics=[accuracy])
    student.fit(images, labels, batch_size=32, epochs=40, verbose=0)

    learned = model(images, training=True).numpy()  # its moving statistics lag behind
    np.testing.assert_allclose(Classes.activation(learned), Classes.activation(expected), atol=0.15)
    assert np.mean(learned.argmax(-1) == expected.argmax(-1)) > 0.8
    for old, new in zip(before, teacher.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)

    logits = student.predict(images, verbose=0)
    scores = student.evaluate(images, labels, verbose=0, return_dict=True)
    smoothed = 0.9 * metrics.losses(logits, labels) + 0.1 * np.mean(
        [metrics.losses(logits, labels * 0 + c) for c in range(10)], 0
    )
    np.testing.assert_allclose(scores["loss"], smoothed.mean(), rtol=1e-5)
    np.testing.assert_allclose(scores["accuracy"], (logits.argmax(-1) == labels).mean(), atol=1e-6)


def test_training_loss_is_the_cross_entropy_with_the_teachers_mean_probabilities():
    images = np.random.default_rng(0).normal(0, 0.5, (32, 16, 16, 3)).astype("float32")
    model, *teachers = networks(3)
    logits = model(images, training=True).numpy()
    targets = np.mean([Classes.activation(teacher.predict(images, verbose=0)) for teacher in teachers], 0)
    expected = -(targets * np.log(Classes.activation(logits))).sum(-1).mean()
    student = Student(model, teachers)
    student.compile(keras.optimizers.SGD(0.0), classification(0.1))
    np.testing.assert_allclose(student.train_on_batch(images, np.zeros(32)), expected, rtol=1e-5)
