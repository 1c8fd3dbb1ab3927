package io.github.keras_resnet.core

import kotlin.math.abs
import kotlin.math.ceil

private const val PRECISION = 22 // bits after the point: 32, less 8 of a pixel, less 2 that Pillow keeps free
private const val HALF = 1 shl (PRECISION - 1)

/**
 * Which source pixels, with which weights, make each output pixel along one axis; Pillow's `precompute_coeffs` with the
 * bilinear filter, operation for operation.
 *
 * @param from the first output pixel that is wanted, and how many: the rest is cropped away.
 */
internal class Taps(sourceSize: Int, size: Int, from: Int, val count: Int) {
    private val scale = sourceSize.toDouble() / size
    private val support = maxOf(scale, 1.0) // widens when it shrinks: antialiasing
    private val most = ceil(support).toInt() * 2 + 1

    val first = IntArray(count)
    val number = IntArray(count)
    private val weights = IntArray(count * most)

    /** The source pixels that any output pixel needs: `begin` until `end`. */
    val begin: Int get() = first[0]
    val end: Int get() = first[count - 1] + number[count - 1]

    init {
        val exact = DoubleArray(most)
        for (i in 0 until count) {
            val centre = (from + i + 0.5) * scale
            first[i] = maxOf(0, (centre - support + 0.5).toInt())
            number[i] = minOf(sourceSize, (centre + support + 0.5).toInt()) - first[i]
            var sum = 0.0
            for (tap in 0 until number[i]) {
                exact[tap] = maxOf(0.0, 1 - abs((first[i] + tap - centre + 0.5) * (1 / support)))
                sum += exact[tap]
            }
            for (tap in 0 until number[i]) {
                weights[i * most + tap] = (0.5 + exact[tap] / sum * (1 shl PRECISION)).toInt()
            }
        }
    }

    fun weight(i: Int, tap: Int) = weights[i * most + tap]
}

/** Resizes along rows: `rows` rows of `source` from row `firstRow` on, `width` pixels each. */
internal fun Taps.alongRows(
    source: ByteArray, width: Int, channels: Int, firstRow: Int, rows: Int, to: ByteArray,
) {
    var at = 0
    for (row in firstRow until firstRow + rows) {
        for (i in 0 until count) {
            val begin = (row * width + first[i]) * channels
            for (channel in 0 until channels) {
                var sum = HALF
                var from = begin + channel
                for (tap in 0 until number[i]) {
                    sum += (source[from].toInt() and 255) * weight(i, tap)
                    from += channels
                }
                to[at++] = toPixel(sum)
            }
        }
    }
}

/**
 * Resizes along columns.
 *
 * @param stride bytes of a row.
 * @param firstRow the source's row that `source` begins with.
 * @param sums room for `stride` numbers.
 */
internal fun Taps.alongColumns(source: ByteArray, stride: Int, firstRow: Int, to: ByteArray, sums: IntArray) {
    for (i in 0 until count) {
        sums.fill(HALF, 0, stride)
        for (tap in 0 until number[i]) {
            val weight = weight(i, tap)
            val from = (first[i] - firstRow + tap) * stride
            for (x in 0 until stride) sums[x] += (source[from + x].toInt() and 255) * weight
        }
        for (x in 0 until stride) to[i * stride + x] = toPixel(sums[x])
    }
}

private fun toPixel(sum: Int) = minOf(255, sum shr PRECISION).toByte()
