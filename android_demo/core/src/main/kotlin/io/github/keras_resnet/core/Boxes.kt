package io.github.keras_resnet.core

import kotlin.math.exp
import kotlin.math.max
import kotlin.math.min

/** A feature map whose cells find boxes: rows, columns, and pixels of the input between two cells. */
class Level(val rows: Int, val columns: Int, val stride: Int)

/** A box on a picture, in its pixels; it may reach beyond it. */
class Box(val label: Int, val probability: Double, val left: Float, val top: Float, val right: Float, val bottom: Float)

/**
 * Where things are: of each cell of every level, how likely each class has its centre there and where its box would be.
 *
 * @property threshold probability from which on a box is shown.
 * @property overlap intersection over union with a likelier box of its class from which on it is not.
 * @property most boxes of one picture.
 * @throws ModelError no boxes can be found so; the message goes on after a colon.
 */
class Boxes(
    labels: List<String>,
    val levels: List<Level>,
    val threshold: Double = 0.3,
    val overlap: Double = 0.6,
    val most: Int = 100,
) : Output(labels) {
    init {
        if (levels.isEmpty() || levels.any { min(it.rows, min(it.columns, it.stride)) < 1 }) {
            throw ModelError("levels; expected rows, columns and stride of at least one.")
        }
        if (threshold !in 0.0..1.0 || overlap !in 0.0..1.0) throw ModelError("a threshold $threshold or overlap $overlap.")
    }

    private val cells = levels.sumOf { it.rows.toLong() * it.columns }
    override val shapes get() = listOf(listOf(cells.toInt(), 4), listOf(cells.toInt(), labels.size))
    override val tensors get() = listOf("location", "score")

    /** What is on a picture, the likeliest first, in pixels of the network's input, of (cells, 4) and (cells, classes). */
    fun decode(location: FloatArray, score: FloatArray): List<Box> {
        val probabilities = DoubleArray(score.size) { 1 / (1 + exp(-score[it].toDouble())) }
        val likeliest = probabilities.indices.filter { probabilities[it] >= threshold }
            .sortedByDescending { probabilities[it] } // stable: of equal ones the one that comes first
            .take(CANDIDATES)
        val left = likeliest.map { place(location, it / labels.size, it % labels.size, probabilities[it]) }.toMutableList()
        val kept = ArrayList<Box>()
        while (left.isNotEmpty() && kept.size < most) {
            val first = left.removeAt(0)
            kept.add(first)
            left.removeAll { it.label == first.label && overlap(first, it) >= overlap }
        }
        return kept
    }

    private fun place(location: FloatArray, cell: Int, label: Int, probability: Double): Box {
        var rest = cell
        val level = levels.first { level ->
            val size = level.rows * level.columns
            (rest < size).also { if (!it) rest -= size }
        }
        val stride = level.stride.toFloat()
        val y = (rest / level.columns + 0.5f) * stride + location[4 * cell] * stride
        val x = (rest % level.columns + 0.5f) * stride + location[4 * cell + 1] * stride
        val h = exp(location[4 * cell + 2].toDouble()).toFloat() * stride / 2
        val w = exp(location[4 * cell + 3].toDouble()).toFloat() * stride / 2
        return Box(label, probability, x - w, y - h, x + w, y + h)
    }

    private companion object {
        const val CANDIDATES = 1000 // boxes, the likeliest, that suppression looks at

        /** Intersection over union. */
        fun overlap(a: Box, b: Box): Double {
            val width = min(a.right.toDouble(), b.right.toDouble()) - max(a.left.toDouble(), b.left.toDouble())
            val height = min(a.bottom.toDouble(), b.bottom.toDouble()) - max(a.top.toDouble(), b.top.toDouble())
            val shared = max(width, 0.0) * max(height, 0.0)
            return shared / (area(a) + area(b) - shared)
        }

        fun area(box: Box) = (box.bottom.toDouble() - box.top) * (box.right.toDouble() - box.left)
    }
}
