"""`keras-resnet COMMAND`: everything that a clone's scripts do, from an installed package."""

import importlib
import os
import sys

from keras_resnet.device import commands

COMMANDS = {
    "check": "what a folder of pictures holds, before any training: PHOTOS/",
    "train": "trains a recipe, or continues where it was cut off: --dataset=digits",
    "evaluate": "a finished run's report, table and figures: runs/NAME",
    "explain": "which places of a picture, or words of a text, speak for a class: runs/NAME PICTURE",
    "degradation": "why residual: plain and residual networks of growing depth beside each other",
    "compare": "several runs in one table and one picture: runs/A runs/B",
    "data_service": "reads and augments pictures for trainings elsewhere: dispatcher, or worker grpc://HOST:PORT",
    "export": "a finished run's .tflite files, and the proof that they answer alike: runs/NAME",
    **commands.COMMANDS,
    "models": "the trained models that come with this package",
}
# Those with absl's flags, and what runs them.
FLAGGED = {
    "train": "command_line",
    "evaluate": "reports.evaluation",
    "export": "export.command_line",
    "explain": "reports.explain",
    "degradation": "training.degradation",
}

# Those with flags of argparse's, which need no TensorFlow.
PLAIN = {"check": "data.check", "compare": "reports.compare", "data_service": "data.data_service"}


def run():
    """The console script."""
    given = sys.argv[1:]
    name = given[0] if given else "--help"
    if name in ("--help", "-h", "help"):
        print(f"usage: keras-resnet COMMAND …; keras-resnet COMMAND --help tells more\n{commands.listed(COMMANDS)}")
    elif name in FLAGGED:
        from absl import flags

        flags.disclaim_key_flags()  # they count as the script's own, so that its --help lists them
        sys.argv = [f"keras-resnet {name}", *given[1:]]
        importlib.import_module(f"keras_resnet.{FLAGGED[name]}").run()
    elif name == "models":
        from keras_resnet import models

        print(commands.listed(models.described()))
    elif name in PLAIN:
        module = importlib.import_module(f"keras_resnet.{PLAIN[name]}")
        commands.start(lambda: module.main(given[1:], f"keras-resnet {name}"))
    elif name in COMMANDS:
        from keras_resnet import models

        shipped = models.files()
        for name in (one for one in given[1:] if one in models.names() and not os.path.exists(one)):
            print(
                f"keras-resnet: {name}: a Keras model, that learns on (--init={name}) or is loaded "
                f"(keras_resnet.load_pretrained); shipped as .tflite are {', '.join(shipped)}",
                file=sys.stderr,
            )
            sys.exit(2)
        commands.main([one if os.path.exists(one) else str(shipped.get(one, one)) for one in given], "keras-resnet")
    else:
        print(f"keras-resnet: {name!r} is no command; choose\n{commands.listed(COMMANDS)}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    run()
