"""What must be set before TensorFlow is loaded. Import nothing of TensorFlow here."""

import os


def prepare():
    """Switches on oneDNN (TensorFlow does so by itself only with AVX512) and quiets TensorFlow's start."""
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
