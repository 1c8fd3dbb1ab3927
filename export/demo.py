"""The last line of `make demo`: what an export's comparison says, in one line.

python -m export.demo runs/NAME
"""

import pathlib
import sys

from keras_resnet import files


def summary(report):
    """One line of a `comparison.json` that holds `int8-qat`."""
    row = next(row for row in report["formats"] if row["format"] == "int8-qat")
    accuracy = f"float {report['float_accuracy']:.3f} · int8-qat {row['accuracy']:.3f}"
    return f"{accuracy} · agreement {row['agreement']:.3f} · {row['bytes'] / 1000:.0f} kB"


if __name__ == "__main__":
    print("demo:", summary(files.read_json(pathlib.Path(sys.argv[1]) / "export" / "comparison.json")))
