"""What must be so before TensorFlow is loaded. Import nothing of TensorFlow here."""

import contextlib
import os
import sys
import tempfile

# What TensorFlow says at every start on a machine without a GPU, whatever its log level.
NOISE = ("All log messages before absl::InitializeLog", "oneDNN custom operations", "cudart_stub.cc", "cuInit")


def prepare():
    """Switches on oneDNN (TensorFlow does so by itself only with AVX512) and lowers TensorFlow's log level."""
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")


def load_tensorflow():
    """Loads TensorFlow and starts its devices without the lines of `NOISE`; all else that it writes is shown."""
    with _without_noise():
        import tensorflow as tf

        tf.config.list_physical_devices()
    import keras
    from absl import logging

    keras.config.disable_traceback_filtering()  # it lets go of iterators that met an error; see programs.start

    if logging.get_verbosity() == logging.INFO:
        logging.set_verbosity(logging.ERROR)  # TFDS tells of its own doings


@contextlib.contextmanager
def _without_noise():
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as caught:
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            caught.seek(0)
            for line in caught.read().decode(errors="replace").splitlines():
                if not any(noise in line for noise in NOISE):
                    print(line, file=sys.stderr)
