"""What all tests share."""

import keras_resnet  # noqa: F401 (sets the environment before TensorFlow is loaded)

pytest_plugins = ["edge"]


def pytest_collection_modifyitems(items):
    # tf.test.TestCase brings a "test" of its own, `test_session`, which only ever skips itself.
    items[:] = [item for item in items if item.name != "test_session"]
