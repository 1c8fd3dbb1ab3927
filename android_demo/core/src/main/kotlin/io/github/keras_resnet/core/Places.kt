package io.github.keras_resnet.core

/** What lies where on a picture of so many pixels. */
sealed class Places(val height: Int, val width: Int)

/** @property boxes the likeliest first, in the picture's pixels. */
class FoundBoxes(height: Int, width: Int, val boxes: List<Box>, val labels: List<String>) : Places(height, width)

/**
 * @property mask the class of each pixel, row by row; `Mask.NO_CLASS` where none is known.
 * @property colours 0xRRGGBB of each class.
 */
class FoundMask(height: Int, width: Int, val mask: ByteArray, val colours: List<Int>) : Places(height, width)
