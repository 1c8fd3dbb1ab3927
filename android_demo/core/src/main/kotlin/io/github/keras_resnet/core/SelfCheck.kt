package io.github.keras_resnet.core

import java.nio.ByteBuffer
import java.util.Locale
import kotlin.math.abs

/**
 * What a self-check saw.
 *
 * @property text for the screen: `16/16 identical`, or how many and how far off the rest is.
 */
class SelfCheckResult(val identical: Int, val total: Int, val text: String) {
    val passed: Boolean get() = identical == total
}

/** Replays a golden set: the input's bytes and the output's bytes must be those that Python saw. */
object SelfCheck {
    /**
     * @param decode fills a picture from a PNG file (`BitmapFactory` on the phone, `ImageIO` in tests).
     * @param run the interpreter: input buffer in, output tensor's bytes out.
     */
    fun run(
        pipeline: Pipeline,
        golden: Golden,
        decode: (ByteArray, Picture) -> Unit,
        run: (ByteBuffer) -> ByteArray,
    ): SelfCheckResult {
        val picture = Picture()
        var wrongInputs = 0
        var wrongOutputs = 0
        var identical = 0
        var furthest = 0.0
        for (expected in golden.examples) {
            val input = when (pipeline.model.contract.input) {
                is PictureInput -> pipeline.input(picture.also { decode(expected.file, it) })
                is SoundInput -> pipeline.input(Recording.read(expected.file))
                is TextInput -> pipeline.input(TextInput.read(expected.file))
            }
            val sameInput = expected.input.indices.all { input.get(it) == expected.input[it] }
            val output = run(input)
            val sameOutput = output.contentEquals(expected.output)
            if (!sameInput) wrongInputs++
            if (!sameOutput) wrongOutputs++
            if (sameInput && sameOutput) identical++
            val probabilities = pipeline.probabilities(output)
            pipeline.probabilities(expected.output).forEachIndexed { i, probability ->
                furthest = maxOf(furthest, abs(probability - probabilities[i]))
            }
        }
        val total = golden.examples.size
        var text = "$identical/$total identical"
        if (identical < total) {
            val distance = String.format(Locale.ROOT, "%.6f", furthest)
            text += "; different inputs: $wrongInputs, outputs: $wrongOutputs; probabilities within $distance"
        }
        return SelfCheckResult(identical, total, text)
    }
}
