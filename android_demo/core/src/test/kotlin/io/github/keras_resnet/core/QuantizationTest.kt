package io.github.keras_resnet.core

import java.nio.ByteOrder
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertSame
import org.junit.Assert.assertTrue
import org.junit.Test

class QuantizationTest {
    private val none = Tensor(listOf(1, 0), DataType.FLOAT32, 1f, 0)

    private fun Vector.tensor(vararg shape: Int) =
        Tensor(shape.toList(), DataType.valueOf(text("type").uppercase()), number("scale").toFloat(), int("zero"))

    @Test
    fun `every pixel value becomes the bytes that NumPy computes`() {
        for (vector in Vector.all("quantization")) {
            val contract = Contract(256, 1, 3, emptyList(), mean = vector.floats("mean"), std = vector.floats("std"))
            val quantization = Quantization(contract, vector.tensor(1, 256, 1, 3), none)
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
            val labels = expected.map { "$it" }
            val contract = Contract(1, 1, 1, labels, isLogits = vector.text("output") == "logits")
            val quantization = Quantization(contract, none, vector.tensor(1, expected.size))
            val found = quantization.toProbabilities(vector.bytes("bytes"))
            assertArrayEquals("$vector", expected.toDoubleArray(), found, 1e-12)
        }
    }

    @Test
    fun `the largest values first, the earlier of equal ones`() {
        assertEquals(listOf(2, 0, 3), topK(doubleArrayOf(0.2, 0.1, 0.5, 0.2), 3))
        assertEquals(listOf(1, 0), topK(doubleArrayOf(0.1, 0.9), 5))
    }
}
