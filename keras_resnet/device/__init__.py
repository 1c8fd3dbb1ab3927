"""The contract, and the reader of our `.tflite` files: a folder that can be copied onto a Raspberry Pi as it is.

`python -m device predict MODEL.tflite PICTURE…` beside the copy, `keras-resnet predict …` from the installed package.
It imports NumPy, Pillow and LiteRT, never TensorFlow, and nothing of the package around it.
"""
