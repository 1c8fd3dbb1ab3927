"""`python -m device COMMAND`: what can be done with a `.tflite` where there is no TensorFlow."""

import sys

from . import command_line

if __name__ == "__main__":
    command_line.main(sys.argv[1:], "python -m device")
