"""The name of older versions for `reports.evaluation`: `python -m keras_resnet.evaluation runs/NAME`."""

from keras_resnet.reports import evaluation

if __name__ == "__main__":
    evaluation.run()
