package io.github.keras_resnet.core

import java.nio.ByteBuffer

/**
 * A label and its probability in [0, 1].
 *
 * @property isThere it reaches its threshold; of `Labels` alone.
 */
class Answer(val label: String, val probability: Double, val isThere: Boolean = false)

/** From a picture to the bytes that enter the interpreter, and from the bytes that leave it to answers. */
class Pipeline(val model: Model) {
    private val preparation = Preparation(model.contract.input)
    private val quantization = Quantization(model.contract, model.input, model.output)

    /** Prepares a picture. The buffer (direct, native order, position 0) is the same one in every call. */
    fun input(picture: Picture): ByteBuffer = quantization.toInput(preparation.prepare(picture))

    /** Probabilities of an output tensor's bytes (native order). */
    fun probabilities(output: ByteArray): DoubleArray = quantization.toProbabilities(output)

    /**
     * The likeliest `k` labels and all others that are there, the likeliest first.
     *
     * @throws ModelError a probability is no number.
     */
    fun answers(output: ByteArray, k: Int = 5): List<Answer> {
        val probabilities = probabilities(output)
        if (probabilities.any { it.isNaN() || it.isInfinite() }) {
            throw ModelError("its answer is no number (NaN or infinite); its weights are damaged or it overflows")
        }
        val rules = model.contract.output
        val there = rules.there(probabilities).toSet()
        return topK(probabilities, probabilities.size)
            .filterIndexed { place, label -> place < k || label in there }
            .map { Answer(rules.labels[it], probabilities[it], it in there) }
    }
}
