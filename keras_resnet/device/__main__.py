"""`python -m device COMMAND`: what can be done with a `.tflite` where there is no TensorFlow."""

import sys

from . import commands

if __name__ == "__main__":
    commands.main(sys.argv[1:], "python -m device")
