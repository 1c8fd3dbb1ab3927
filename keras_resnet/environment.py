"""What must be so before TensorFlow is loaded. Import nothing of TensorFlow here."""

import contextlib
import os
import subprocess
import sys

# What TensorFlow says at every start on a machine without a GPU, whatever its log level.
NOISE = ("All log messages before absl::InitializeLog", "oneDNN custom operations", "cudart_stub.cc", "cuInit")

FILTER = """
import sys
for line in sys.stdin.buffer:
    if not any(noise.encode() in line for noise in sys.argv[1:]):
        sys.stderr.buffer.write(line)
        sys.stderr.flush()
"""


def prepare():
    """Switches on oneDNN (TensorFlow does so by itself only with AVX512) and lowers TensorFlow's log level."""
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")


def load_tensorflow():
    """Loads TensorFlow and starts its devices without the lines of `NOISE`; all else that it writes is shown.

    Raises:
        ValueError: Keras is told to compute with something else.
    """
    backend = os.environ.get("KERAS_BACKEND")
    if backend != "tensorflow":
        raise ValueError(f"KERAS_BACKEND={backend}: this program computes with TensorFlow; unset KERAS_BACKEND")
    with without_noise(*NOISE):
        import tensorflow as tf

        tf.config.list_physical_devices()
    import keras
    from absl import logging

    keras.config.disable_traceback_filtering()  # it lets go of iterators that met an error; see programs.start

    if logging.get_verbosity() == logging.INFO:
        logging.set_verbosity(logging.ERROR)  # TFDS tells of its own doings


@contextlib.contextmanager
def without_noise(*noise):
    """Standard error through a process that leaves lines with these texts out.

    It says the rest even if this process is aborted.
    """
    sys.stderr.flush()
    filter_ = subprocess.Popen(
        [sys.executable, "-S", "-c", FILTER, *noise], stdin=subprocess.PIPE, start_new_session=True
    )
    stderr = os.dup(2)
    os.dup2(filter_.stdin.fileno(), 2)
    filter_.stdin.close()
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        with contextlib.suppress(subprocess.TimeoutExpired):  # a process that TensorFlow started may write on
            filter_.wait(5)
