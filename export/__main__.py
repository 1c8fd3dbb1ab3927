"""`python -m export runs/NAME`: `.tflite` files of a trained run, and the proof that they answer as it does.

`int8-qat` comes from the quantization-aware run in `runs/NAME/qat`; `--qat_epochs=N` trains it (or continues it).
`python -m export MODEL.keras --examples=inputs.npz` does as much for a model that is no run's.
`int8-tfmot`, its peer, is made where it is asked for: it takes another training and `pip install -e ".[tfmot]"`.
"""

from .command_line import run

if __name__ == "__main__":
    run()
