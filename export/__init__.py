"""From a trained run to `.tflite` files, each proven against the Keras model: `python -m export runs/NAME`."""
