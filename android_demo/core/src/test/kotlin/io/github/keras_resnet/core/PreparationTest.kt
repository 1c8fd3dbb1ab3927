package io.github.keras_resnet.core

import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertSame
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

class PreparationTest {
    @Test
    fun `every picture is prepared bit for bit as Pillow does`() {
        val picture = Picture() // one for all: what an earlier one left behind must not show
        val vectors = Vector.all("preparation")
        for (vector in vectors) {
            val (height, width, orientation) = vector.ints("source")
            val (toHeight, toWidth, channels) = vector.ints("input")
            picture.setNoise(height, width, orientation)
            val contract = Contract(toHeight, toWidth, channels, emptyList(), vector.number("crop_fraction"))
            val pixels = Preparation(contract).prepare(picture)
            if ("pixels" in vector) assertArrayEquals("$vector", vector.bytes("pixels"), pixels)
            assertEquals("$vector", vector.text("sha256"), sha256(pixels))
        }
        assertTrue("${vectors.size} pictures", vectors.size > 40)
    }

    @Test
    fun `one preparation takes pictures of changing sizes and allocates no new pixels`() {
        val vectors = Vector.all("preparation").filter { it.ints("input") == listOf(32, 32, 3) }
        val preparations = HashMap<Double, Preparation>()
        val results = HashMap<Preparation, ByteArray>()
        val picture = Picture()
        for (vector in vectors + vectors.reversed()) {
            val fraction = vector.number("crop_fraction")
            val preparation = preparations.getOrPut(fraction) {
                Preparation(Contract(32, 32, 3, emptyList(), fraction))
            }
            val (height, width, orientation) = vector.ints("source")
            picture.setNoise(height, width, orientation)
            val pixels = preparation.prepare(picture)
            assertEquals("$vector", vector.text("sha256"), sha256(pixels))
            assertSame(results.getOrPut(preparation) { pixels }, pixels)
        }
    }

    @Test
    fun `a picture that would be resized to a huge one is refused`() {
        val contract = Contract(224, 224, 3, emptyList(), 0.875)
        assertEquals(256 to 65536, contract.resized(1, 256)) // 1 shl 24
        assertEquals(65536 to 256, contract.resized(256, 1))
        for ((height, width) in listOf(1 to 257, 257 to 1, 1 to Int.MAX_VALUE, Int.MAX_VALUE to 1)) {
            val error = assertThrows(PictureError::class.java) { contract.resized(height, width) }
            assertTrue(error.message, error.message!!.startsWith("it would be resized to "))
        }
        for (fraction in listOf(1e-9, 1e-300, Double.MIN_VALUE)) {
            assertThrows(PictureError::class.java) { Contract(224, 224, 3, emptyList(), fraction).resized(50, 50) }
        }
        val preparation = Preparation(Contract(8, 8, 3, emptyList()))
        val picture = Picture()
        picture.setNoise(1, 1_000_000, 1)
        assertThrows(PictureError::class.java) { preparation.prepare(picture) }
        val vector = Vector.all("preparation").single { it.ints("source") == listOf(1, 50, 1) }
        picture.setNoise(1, 50, 1) // it still works
        assertArrayEquals(vector.bytes("pixels"), preparation.prepare(picture))
    }

    @Test
    fun `a picture's buffer is used again`() {
        val picture = Picture()
        picture.setNoise(40, 30, 1)
        val buffer = picture.rgb
        picture.setNoise(30, 40, 6)
        assertEquals(40 to 30, picture.height to picture.width)
        assertSame(buffer, picture.rgb)
    }
}
