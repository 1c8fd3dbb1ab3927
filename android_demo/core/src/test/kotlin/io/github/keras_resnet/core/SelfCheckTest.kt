package io.github.keras_resnet.core

import java.awt.image.BufferedImage
import java.io.ByteArrayInputStream
import java.io.ByteArrayOutputStream
import java.nio.ByteBuffer
import javax.imageio.ImageIO
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

class SelfCheckTest {
    @Test
    fun `the bytes that enter the interpreter are Python's, and so are the probabilities`() {
        val expected = Vector(Vector.read("models"))
        for (bundled in Bundled.all) {
            val pipeline = Pipeline(bundled.model)
            val golden = Golden.read(bundled.goldenText, bundled.model)
            assertEquals(16, golden.examples.size)
            val picture = Picture()
            golden.examples.forEachIndexed { i, it ->
                decodePng(it.file, picture)
                assertArrayEquals("${bundled.name} $i", it.input, bytes(pipeline.input(picture)))
                val probabilities = (expected.list(bundled.name)[i] as List<*>).map { it as Double }
                assertArrayEquals(probabilities.toDoubleArray(), pipeline.probabilities(it.output), 1e-6)
                val best = probabilities.indices.maxBy { probabilities[it] }
                assertEquals(bundled.model.contract.output.labels[best], pipeline.answers(it.output)[0].label)
            }
        }
        assertTrue("no models in app/src/main/assets/models", Bundled.all.isNotEmpty())
    }

    @Test
    fun `a golden set is replayed`() {
        for (bundled in Bundled.all) assertEquals("16/16 identical", check(bundled) { it }.text)
    }

    @Test
    fun `one altered byte of an input is found`() {
        val result = check(Bundled.all[0]) { GoldenExample(it.file, altered(it.input, 1000), it.output) }
        assertEquals("15/16 identical; different inputs: 1, outputs: 0; probabilities within 0.000000", result.text)
        assertFalse(result.passed)
    }

    @Test
    fun `one altered byte of an output is found`() {
        val result = check(Bundled.all[0]) { GoldenExample(it.file, it.input, altered(it.output, 3)) }
        assertTrue(result.text, result.text.startsWith("15/16 identical; different inputs: 0, outputs: 1; probabilities"))
    }

    @Test
    fun `one altered pixel of a picture is found`() {
        val result = check(Bundled.all[0]) { GoldenExample(withOtherPixel(it.file), it.input, it.output) }
        assertTrue(result.text, result.text.startsWith("15/16 identical; different inputs: 1, "))
    }

    @Test
    fun `text that is no golden set of this model is refused`() {
        val (first, second) = Bundled.all
        for (text in listOf("", "[]", "{}", "{\"pictures\": []}", "{\"pictures\": [{}]}", first.goldenText.dropLast(9), "{\"pictures\": [7]}")) {
            assertThrows(ModelError::class.java) { Golden.read(text, first.model) }
        }
        val foreign = Tensor(listOf(1, 11), second.model.output.type, 1f, 0)
        val other = Model("other", second.model.contract, second.model.input, foreign, emptyList())
        val error = assertThrows(ModelError::class.java) { Golden.read(first.goldenText, other) }
        assertEquals("This golden set is of another model than other.", error.message)
    }

    /** Replays a set whose eighth picture was altered, with an interpreter that remembers what Python saw. */
    private fun check(bundled: Bundled, alter: (GoldenExample) -> GoldenExample): SelfCheckResult {
        val golden = Golden.read(bundled.goldenText, bundled.model)
        val answers = golden.examples.associate { it.input.toList() to it.output }
        val pictures = golden.examples.mapIndexed { i, it -> if (i == 7) alter(it) else it }
        return SelfCheck.run(Pipeline(bundled.model), Golden(pictures), ::decodePng) { input ->
            answers[bytes(input).toList()] ?: golden.examples[7].output
        }
    }

    private fun bytes(buffer: ByteBuffer) = ByteArray(buffer.remaining()) { buffer.get(it) }

    private fun altered(bytes: ByteArray, i: Int) = bytes.clone().also { it[i] = (it[i] + 1).toByte() }

    private fun withOtherPixel(png: ByteArray): ByteArray {
        val image: BufferedImage = ImageIO.read(ByteArrayInputStream(png))
        image.raster.setSample(5, 6, 0, image.raster.getSample(5, 6, 0) xor 1)
        return ByteArrayOutputStream().also { ImageIO.write(image, "png", it) }.toByteArray()
    }
}
