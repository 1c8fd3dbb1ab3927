package io.github.keras_resnet.core

import java.nio.ByteBuffer

/**
 * A label and its probability in [0, 1].
 *
 * @property isThere it reaches its threshold; of `Labels` alone.
 */
class Answer(val label: String, val probability: Double, val isThere: Boolean = false)

/** From a raw thing to the bytes that enter the interpreter, and from the bytes that leave it to answers. */
class Pipeline(val model: Model) {
    private val preparation = (model.contract.input as? PictureInput)?.let(::Preparation)
    private val quantization = Quantization(model.contract, model.input, model.outputs)

    /** Prepares a picture. The buffer (direct, native order, position 0) is the same one in every call. */
    fun input(picture: Picture): ByteBuffer =
        quantization.toInput((preparation ?: throw ModelError("${model.name} takes no pictures.")).prepare(picture))

    /**
     * The same of a recording.
     *
     * @throws SoundError it is of another rate.
     */
    fun input(recording: Recording): ByteBuffer {
        val sound = model.contract.input as? SoundInput ?: throw ModelError("${model.name} takes no recordings.")
        if (recording.rate != sound.rate) {
            throw SoundError("It has ${recording.rate} samples a second; this model hears ${sound.rate}.")
        }
        return quantization.toInput(sound.pixels(recording.samples))
    }

    /** The same of a text. */
    fun input(text: String): ByteBuffer {
        val rules = model.contract.input as? TextInput ?: throw ModelError("${model.name} takes no texts.")
        return quantization.toInput(rules.ids(text))
    }

    /** Probabilities of the output's bytes (native order). */
    fun probabilities(output: ByteArray): DoubleArray = quantization.toProbabilities(output)

    /**
     * The likeliest `k` labels and all others that are there, the likeliest first; of a mask those of its largest parts.
     *
     * @param places what `places` made of the same output: parts of a mask are of the picture then, not of the cells.
     * @throws ModelError a probability is no number.
     */
    fun answers(output: ByteArray, k: Int = 5, places: Places? = null): List<Answer> = when (val rules = model.contract.output) {
        is Boxes -> boxes(output).take(k).map { Answer(rules.labels[it.label], it.probability) }
        is Mask -> parts((places as? FoundMask)?.mask ?: rules.decode(values(output)[0], rules.rows, rules.columns), rules).take(k)
        else -> likeliest(output, k)
    }

    /**
     * The boxes on a picture of so many pixels, the likeliest first; without a size, on the network's input.
     *
     * @throws ModelError a number is none.
     */
    fun boxes(output: ByteArray, height: Int = 0, width: Int = 0): List<Box> {
        val (location, score) = values(output)
        val found = (model.contract.output as Boxes).decode(location, score)
        return if (height == 0) found else model.contract.picture.unplaced(found, height, width)
    }

    /**
     * The class of each pixel, (height, width), of a picture; `Mask.NO_CLASS` where the input did not show it.
     *
     * @throws ModelError a number is none.
     */
    fun mask(output: ByteArray, height: Int, width: Int): ByteArray {
        val rules = model.contract.output as Mask
        val (left, top, right, bottom) = model.contract.picture.shown(height, width)
        val shown = rules.decode(values(output)[0], bottom - top, right - left)
        val mask = ByteArray(height * width) { Mask.NO_CLASS }
        for (y in top until bottom) shown.copyInto(mask, y * width + left, (y - top) * (right - left), (y - top + 1) * (right - left))
        return mask
    }

    /**
     * What lies where on a picture of so many pixels; null where answers have no place.
     *
     * @throws ModelError a number is none.
     */
    fun places(output: ByteArray, height: Int, width: Int): Places? = when (val rules = model.contract.output) {
        is Boxes -> FoundBoxes(height, width, boxes(output, height, width), rules.labels)
        is Mask -> FoundMask(height, width, mask(output, height, width), rules.colours)
        else -> null
    }

    /** The classes of a mask, by their part of it. */
    private fun parts(mask: ByteArray, rules: Mask): List<Answer> {
        val counts = IntArray(rules.labels.size)
        mask.forEach { if (it != Mask.NO_CLASS) counts[it.toInt() and 255]++ }
        return counts.indices.filter { counts[it] > 0 }.sortedByDescending { counts[it] }
            .map { Answer(rules.labels[it], counts[it].toDouble() / mask.size) }
    }

    private fun values(output: ByteArray): List<FloatArray> {
        val values = quantization.toValues(output)
        if (values.any { numbers -> numbers.any { it.isNaN() || it.isInfinite() } }) throw noNumber()
        return values
    }

    private fun noNumber() =
        ModelError("its answer is no number (NaN or infinite); its weights are damaged or it overflows")

    private fun likeliest(output: ByteArray, k: Int): List<Answer> {
        val probabilities = probabilities(output)
        if (probabilities.any { it.isNaN() || it.isInfinite() }) throw noNumber()
        val rules = model.contract.output
        val there = rules.there(probabilities).toSet()
        return topK(probabilities, probabilities.size)
            .filterIndexed { place, label -> place < k || label in there }
            .map { Answer(rules.labels[it], probabilities[it], it in there) }
    }
}
