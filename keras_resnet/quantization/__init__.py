"""Learning under int8 arithmetic."""

from keras_resnet.quantization.quantizer import freeze_norms as freeze_norms
from keras_resnet.quantization.quantizer import quantize_aware as quantize_aware
