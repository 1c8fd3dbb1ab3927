package io.github.keras_resnet.core

import kotlin.math.exp

/** How a network's numbers become an answer: `Classes`, `Labels`, `Boxes` or `Mask`. */
sealed class Output(val labels: List<String>, val isLogits: Boolean = true) {
    /** Of the network's outputs, without the batch. */
    open val shapes: List<List<Int>> get() = listOf(listOf(labels.size))

    /** Names of the network's outputs where it has several. */
    open val tensors: List<String> get() = emptyList()

    /** Probabilities of scores, one for each label; one that is no number stays none. */
    fun probabilities(scores: FloatArray): DoubleArray =
        if (isLogits) activation(scores) else DoubleArray(scores.size) { scores[it].toDouble() }

    /** Probabilities of logits, in double precision. */
    protected open fun activation(logits: FloatArray): DoubleArray =
        DoubleArray(logits.size) { 1 / (1 + exp(-logits[it].toDouble())) }

    /** Indices of the labels that are there, whatever the others are; none where one excludes another. */
    open fun there(probabilities: DoubleArray): List<Int> = emptyList()
}

/** One of the labels is right. */
class Classes(labels: List<String>, isLogits: Boolean = true) : Output(labels, isLogits) {
    override fun activation(logits: FloatArray): DoubleArray {
        val largest = logits.max()
        val exponentials = DoubleArray(logits.size) { exp((logits[it] - largest).toDouble()) }
        val sum = exponentials.sum()
        return DoubleArray(logits.size) { exponentials[it] / sum }
    }
}

/**
 * Each label is there or not, whatever the others are.
 *
 * @property thresholds the probability from which on each label counts; a half where there are none.
 * @throws ModelError they are not as many as the labels, or not between 0 and 1; the message goes on after a colon.
 */
class Labels(labels: List<String>, isLogits: Boolean = true, val thresholds: List<Double> = emptyList()) :
    Output(labels, isLogits) {
    init {
        if (thresholds.size !in listOf(0, labels.size) || !thresholds.all { it > 0 && it < 1 }) {
            throw ModelError("${thresholds.size} thresholds for ${labels.size} labels, or not all between 0 and 1.")
        }
    }

    override fun there(probabilities: DoubleArray) =
        probabilities.indices.filter { probabilities[it] >= (thresholds.getOrNull(it) ?: 0.5) }
}
