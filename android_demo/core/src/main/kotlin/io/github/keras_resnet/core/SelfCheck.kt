package io.github.keras_resnet.core

import java.nio.ByteBuffer

/** One golden picture: a PNG file, the input's bytes and the output's bytes that Python saw. */
class GoldenPicture(val png: ByteArray, val input: ByteArray, val output: ByteArray)

/** The golden set beside a model, `NAME.golden.json`. */
class Golden(val pictures: List<GoldenPicture>) {
    companion object {
        /** @throws ModelError the text is no golden set, or one of another model. */
        fun read(json: String, model: Model): Golden = TODO()
    }
}

/**
 * @property text for the screen: `16/16 identical`, or how many, and how far off the rest is.
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
    ): SelfCheckResult = TODO()
}
