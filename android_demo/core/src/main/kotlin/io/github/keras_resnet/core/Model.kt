package io.github.keras_resnet.core

import java.nio.ByteBuffer

/** A file that is no classifier of pictures; the message is a sentence for the screen. */
class ModelError(message: String) : Exception(message)

/** How a picture becomes the network's input: `x = (pixel - mean) / std`, after resize and crop. */
class Contract(
    val height: Int,
    val width: Int,
    /** 3 (RGB) or 1 (gray). */
    val channels: Int,
    val labels: List<String>,
    val cropFraction: Double = 1.0,
    /** One for each channel, or one for all. */
    val mean: FloatArray = floatArrayOf(128f),
    val std: FloatArray = floatArrayOf(128f),
    val outputIsLogits: Boolean = true,
)

enum class DataType(val bytes: Int) { UINT8(1), INT8(1), FLOAT32(4) }

/** Input or output of a network. Scale and zero point are 1 and 0 for FLOAT32. */
class Tensor(val shape: List<Int>, val type: DataType, val scale: Float, val zeroPoint: Int) {
    val bytes: Int get() = shape.fold(type.bytes) { product, n -> product * n }
}

/**
 * What a `.tflite` says of itself.
 *
 * @property name of the standard metadata, or what `read` was given.
 * @property warnings sentences for the screen: what the file does not say and what was taken instead.
 */
class Model(
    val name: String,
    val contract: Contract,
    val input: Tensor,
    val output: Tensor,
    val warnings: List<String>,
) {
    companion object {
        /**
         * Reads our `contract.json` in the zip behind the model; else standard TFLite Metadata and its labels; else
         * takes the usual defaults and says so in `warnings`.
         *
         * @param content the whole file, as mapped or read; its position is not moved.
         * @param name what to call the model where it has no name.
         * @throws ModelError no `.tflite`, or no image classifier with uint8, int8 or float32 tensors.
         */
        fun read(content: ByteBuffer, name: String): Model = TODO()
    }
}
