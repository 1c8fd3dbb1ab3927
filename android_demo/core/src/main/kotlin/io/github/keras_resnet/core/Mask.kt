package io.github.keras_resnet.core

import kotlin.math.floor

/**
 * The class of each pixel: coarse scores are brought to the picture's size, bilinearly, corners onto corners.
 *
 * @property colours 0xRRGGBB of each class.
 * @throws ModelError no mask can be made so; the message goes on after a colon.
 */
class Mask(labels: List<String>, val rows: Int, val columns: Int, val colours: List<Int>) : Output(labels) {
    init {
        if (rows < 1 || columns < 1) throw ModelError("a size of $rows x $columns cells.")
        if (labels.size !in 1..255 || colours.size != labels.size) {
            throw ModelError("${labels.size} labels and ${colours.size} colours; expected 1 to 255, as many of both.")
        }
    }

    override val shapes get() = listOf(listOf(rows, columns, labels.size))

    /** The class of each pixel, (height, width), by scores (rows, columns, classes); of equal ones the first. */
    fun decode(scores: FloatArray, height: Int, width: Int): ByteArray {
        val down = Between(rows, height)
        val across = Between(columns, width)
        val best = FloatArray(height * width) { Float.NEGATIVE_INFINITY }
        val classes = ByteArray(height * width)
        val line = FloatArray(columns)
        for (label in labels.indices) {
            for (y in 0 until height) {
                for (column in 0 until columns) {
                    val top = scores[(down.first[y] * columns + column) * labels.size + label]
                    val bottom = scores[(down.last[y] * columns + column) * labels.size + label]
                    line[column] = top + (bottom - top) * down.part[y]
                }
                for (x in 0 until width) {
                    val left = line[across.first[x]]
                    val value = left + (line[across.last[x]] - left) * across.part[x]
                    if (value > best[y * width + x]) {
                        best[y * width + x] = value
                        classes[y * width + x] = label.toByte()
                    }
                }
            }
        }
        return classes
    }

    /** Of each of `size` places: the cells before and behind it, of `count`, and how far it is between them. */
    private class Between(count: Int, size: Int) {
        private val places = DoubleArray(size) { it * ((count - 1).toDouble() / maxOf(1, size - 1)) }
        val first = IntArray(size) { minOf(floor(places[it]).toInt(), count - 1) }
        val last = IntArray(size) { minOf(first[it] + 1, count - 1) }
        val part = FloatArray(size) { (places[it] - first[it]).toFloat() }
    }

    companion object {
        const val NO_CLASS: Byte = -1
    }
}
