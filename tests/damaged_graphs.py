"""Opens and runs mutants of a `.tflite`'s graph: `python damaged_graphs.py MODEL.tflite FOLDER SEED FIRST SECONDS`.

A process of its own: LiteRT holds no file to its schema, and a damaged one can end it. The last line is the mutant's
number; an exception that no loader states ends it, too, with status 1.
"""

import contextlib
import itertools
import pathlib
import resource
import sys
import time

import numpy as np

from keras_resnet.device.reader import Reader

WORDS = (0, 1, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)


def mutated(content, rng):
    """The bytes of a file, some of them others; what is behind the graph stays."""
    made, end = bytearray(content), content.index(b"PK\3\4")
    for _ in range(rng.integers(1, 4)):
        at, kind = int(rng.integers(end - 4)), rng.integers(3)
        if kind == 0:
            made[at : at + 4] = int(rng.choice(WORDS)).to_bytes(4, "little")
        else:
            made[at] = rng.integers(256) if kind == 1 else made[at] ^ 1 << rng.integers(8)
    return made


def main(model, folder, seed, first, seconds):
    resource.setrlimit(resource.RLIMIT_AS, (1 << 33, 1 << 33))  # a shape may ask for any memory
    content, path = pathlib.Path(model).read_bytes(), pathlib.Path(folder) / "mutant.tflite"
    end = time.monotonic() + float(seconds)
    for turn in itertools.count(int(first)):
        if time.monotonic() > end:
            break
        print(turn, flush=True)
        path.write_bytes(mutated(content, np.random.default_rng([int(seed), turn])))
        with contextlib.suppress(ValueError):
            Reader(path).run(np.zeros((32, 32, 3), np.uint8))


if __name__ == "__main__":
    main(*sys.argv[1:])
