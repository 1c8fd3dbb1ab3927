package io.github.keras_resnet.core

import java.nio.ByteBuffer
import java.nio.ByteOrder

/** Pixels, or numbers of a text, to the bytes of an input tensor, and the bytes of an output tensor to probabilities. */
class Quantization(private val contract: Contract, private val input: Tensor, private val outputs: List<Tensor>) {
    constructor(contract: Contract, input: Tensor, output: Tensor) : this(contract, input, listOf(output))

    private val buffer = ByteBuffer.allocateDirect(input.bytes).order(ByteOrder.nativeOrder())

    // What each of the 256 pixel values becomes, channel by channel.
    private val channels = (contract.input as? PictureInput)?.channels ?: 1
    private val mean = (contract.input as? PictureInput)?.mean ?: floatArrayOf(128f)
    private val std = (contract.input as? PictureInput)?.std ?: floatArrayOf(128f)
    private val scaled = Array(channels) { channel -> FloatArray(256) { (it - mean.of(channel)) / std.of(channel) } }
    private val quantized = scaled.map { values -> ByteArray(256) { quantize(values[it]) } }

    /** The input tensor's bytes of uint8 pixels (height, width, channels); the same buffer in every call. */
    fun toInput(pixels: ByteArray): ByteBuffer {
        for (i in pixels.indices) {
            val channel = i % channels
            val pixel = pixels[i].toInt() and 255
            if (input.type == DataType.FLOAT32) {
                buffer.putFloat(4 * i, scaled[channel][pixel])
            } else {
                buffer.put(i, quantized[channel][pixel])
            }
        }
        return buffer
    }

    /** The input tensor's bytes of a text's numbers; the same buffer in every call. */
    fun toInput(ids: IntArray): ByteBuffer {
        ids.forEachIndexed { i, id -> buffer.putInt(4 * i, id) }
        return buffer
    }

    /** The numbers of each output tensor, as floats, of the bytes of all, one after the other. */
    fun toValues(bytes: ByteArray): List<FloatArray> {
        val expected = outputs.sumOf { it.bytes }
        require(bytes.size == expected) { "an output of ${bytes.size} bytes; expected $expected" }
        val values = ByteBuffer.wrap(bytes).order(ByteOrder.nativeOrder())
        var start = 0
        return outputs.map { output ->
            val from = start
            start += output.bytes
            FloatArray(output.bytes / output.type.bytes) {
                when (output.type) {
                    DataType.FLOAT32 -> values.getFloat(from + 4 * it)
                    DataType.INT32 -> values.getInt(from + 4 * it).toFloat()
                    DataType.INT8 -> (bytes[from + it] - output.zeroPoint) * output.scale
                    DataType.UINT8 -> ((bytes[from + it].toInt() and 255) - output.zeroPoint) * output.scale
                }
            }
        }
    }

    /** Probabilities of the last output: that of the scores, where there are several. */
    fun toProbabilities(bytes: ByteArray): DoubleArray = contract.output.probabilities(toValues(bytes).last())

    private fun quantize(x: Float): Byte {
        val lowest = input.type.lowest
        val value = Math.rint((x / input.scale).toDouble()) + input.zeroPoint // half to even, as numpy
        return value.coerceIn(lowest.toDouble(), lowest + 255.0).toInt().toByte()
    }

    private fun FloatArray.of(channel: Int) = if (size == 1) this[0] else this[channel]
}

/** Indices of the `k` largest values, the largest first; of equal ones the earlier. */
fun topK(values: DoubleArray, k: Int): List<Int> = values.indices.sortedByDescending { values[it] }.take(k)
