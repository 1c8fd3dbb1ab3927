package io.github.keras_resnet.core

import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertSame
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

class QuantizationTest {
    private val none = Tensor(listOf(1, 0), DataType.FLOAT32, 1f, 0)

    private fun Vector.tensor(vararg shape: Int) =
        Tensor(shape.toList(), DataType.valueOf(text("type").uppercase()), number("scale").toFloat(), int("zero"))

    @Test
    fun `every pixel value becomes the bytes that NumPy computes`() {
        for (vector in Vector.all("quantization")) {
            val input = PictureInput(256, 1, 3, mean = vector.floats("mean"), std = vector.floats("std"))
            val quantization = Quantization(Contract(input, Classes(emptyList())), vector.tensor(1, 256, 1, 3), none)
            val buffer = quantization.toInput(ByteArray(256 * 3) { (it / 3).toByte() })
            assertTrue(buffer.isDirect && buffer.order() == ByteOrder.nativeOrder() && buffer.position() == 0)
            assertArrayEquals("$vector", vector.bytes("bytes"), ByteArray(buffer.remaining()) { buffer.get(it) })
            assertSame(buffer, quantization.toInput(ByteArray(256 * 3)))
        }
    }

    @Test
    fun `probabilities of an output`() {
        for (vector in Vector.all("output")) {
            val expected = vector.numbers("expected")
            val contract = Contract(PictureInput(1, 1, 1), rules(vector))
            val pipeline = Pipeline(Model("m", contract, none, vector.tensor(1, expected.size), emptyList()))
            val found = pipeline.probabilities(vector.bytes("bytes"))
            assertArrayEquals("$vector", expected.toDoubleArray(), found, 1e-12)
            assertEquals("$vector", vector.list("there"), contract.output.there(found).map { "$it" })
            val answers = pipeline.answers(vector.bytes("bytes"), expected.size)
            assertEquals("$vector", vector.list("top"), answers.map { it.label })
            assertEquals("$vector", answers.map { it.label in vector.list("there") }, answers.map { it.isThere })
            val first = answers.take(1) + answers.drop(1).filter { it.isThere }
            assertEquals("$vector", first.map { it.label }, pipeline.answers(vector.bytes("bytes"), 1).map { it.label })
        }
    }

    private fun rules(vector: Vector): Output {
        val labels = vector.numbers("expected").indices.map { "$it" }
        val isLogits = vector.text("output") == "logits"
        if ("thresholds" !in vector) return Classes(labels, isLogits)
        return Labels(labels, isLogits, vector.numbers("thresholds"))
    }

    @Test
    fun `an answer that is no number is a sentence`() {
        val cifar = Bundled.all.single { it.name == "cifar10-jpeg-resnet20" }.model
        val output = Tensor(listOf(1, 10), DataType.FLOAT32, 1f, 0)
        for (isLogits in listOf(true, false)) {
            val contract = Contract(cifar.contract.input, Classes(cifar.contract.output.labels, isLogits))
            val pipeline = Pipeline(Model("m", contract, cifar.input, output, emptyList()))
            val buffer = ByteBuffer.allocate(40).order(ByteOrder.nativeOrder())
            for (wrong in listOf(Float.NaN, Float.POSITIVE_INFINITY)) {
                buffer.putFloat(12, wrong)
                val error = assertThrows(ModelError::class.java) { pipeline.answers(buffer.array()) }
                assertTrue(error.message, error.message!!.startsWith("its answer is no number"))
            }
            buffer.putFloat(12, if (isLogits) Float.NEGATIVE_INFINITY else 0f) // a class that can't be
            assertEquals(0.0, pipeline.answers(buffer.array(), 10)[9].probability, 0.0)
        }
    }

    @Test
    fun `a label that is no number is a sentence, and one without end is certain`() {
        val contract = Contract(PictureInput(1, 1, 1), Labels(listOf("a", "b")))
        val pipeline = Pipeline(Model("m", contract, none, Tensor(listOf(1, 2), DataType.FLOAT32, 1f, 0), emptyList()))
        val buffer = ByteBuffer.allocate(8).order(ByteOrder.nativeOrder())
        buffer.putFloat(4, Float.POSITIVE_INFINITY)
        assertEquals(listOf(1.0, 0.5), pipeline.answers(buffer.array()).map { it.probability })
        buffer.putFloat(4, Float.NaN)
        assertThrows(ModelError::class.java) { pipeline.answers(buffer.array()) }
    }

    @Test
    fun `the largest values first, the earlier of equal ones`() {
        assertEquals(listOf(2, 0, 3), topK(doubleArrayOf(0.2, 0.1, 0.5, 0.2), 3))
        assertEquals(listOf(1, 0), topK(doubleArrayOf(0.1, 0.9), 5))
    }
}
