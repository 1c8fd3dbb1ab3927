package io.github.keras_resnet.core

import java.nio.ByteBuffer
import java.nio.ByteOrder

/** Pixels to the bytes of an input tensor, and the bytes of an output tensor to probabilities. */
class Quantization(private val contract: Contract, private val input: Tensor, private val output: Tensor) {
    private val buffer = ByteBuffer.allocateDirect(input.bytes).order(ByteOrder.nativeOrder())

    // What each of the 256 pixel values becomes, channel by channel.
    private val scaled = Array(contract.input.channels) { channel ->
        FloatArray(256) { (it - contract.input.mean.of(channel)) / contract.input.std.of(channel) }
    }
    private val quantized = scaled.map { values -> ByteArray(256) { quantize(values[it]) } }

    /** The input tensor's bytes of uint8 pixels (height, width, channels); the same buffer in every call. */
    fun toInput(pixels: ByteArray): ByteBuffer {
        for (i in pixels.indices) {
            val channel = i % contract.input.channels
            val pixel = pixels[i].toInt() and 255
            if (input.type == DataType.FLOAT32) {
                buffer.putFloat(4 * i, scaled[channel][pixel])
            } else {
                buffer.put(i, quantized[channel][pixel])
            }
        }
        return buffer
    }

    /** Logits (or probabilities, where the network ends with them) of an output tensor's bytes. */
    fun toLogits(bytes: ByteArray): FloatArray {
        require(bytes.size == output.bytes) { "an output of ${bytes.size} bytes; expected ${output.bytes}" }
        val values = ByteBuffer.wrap(bytes).order(ByteOrder.nativeOrder())
        return FloatArray(contract.output.labels.size) {
            when (output.type) {
                DataType.FLOAT32 -> values.getFloat(4 * it)
                DataType.INT8 -> (bytes[it] - output.zeroPoint) * output.scale
                DataType.UINT8 -> ((bytes[it].toInt() and 255) - output.zeroPoint) * output.scale
            }
        }
    }

    fun toProbabilities(bytes: ByteArray): DoubleArray = contract.output.probabilities(toLogits(bytes))

    private fun quantize(x: Float): Byte {
        val lowest = input.type.lowest
        val value = Math.rint((x / input.scale).toDouble()) + input.zeroPoint // half to even, as numpy
        return value.coerceIn(lowest.toDouble(), lowest + 255.0).toInt().toByte()
    }

    private fun FloatArray.of(channel: Int) = if (size == 1) this[0] else this[channel]
}

/** Indices of the `k` largest values, the largest first; of equal ones the earlier. */
fun topK(values: DoubleArray, k: Int): List<Int> = values.indices.sortedByDescending { values[it] }.take(k)
