"""Trains a residual network: `python train.py --depth=50 --strategy=mirrored`, `python train.py --help`."""

from keras_resnet import command_line

if __name__ == "__main__":
    command_line.run()
