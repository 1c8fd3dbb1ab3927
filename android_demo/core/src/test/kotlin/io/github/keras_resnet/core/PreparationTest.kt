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
            val input = PictureInput(toHeight, toWidth, channels, vector.number("crop_fraction"), isStretched = "resize" in vector)
            if ("refused" in vector) {
                assertThrows("$vector", PictureError::class.java) { Preparation(input).prepare(picture) }
                continue
            }
            val pixels = Preparation(input).prepare(picture)
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
                Preparation(PictureInput(32, 32, 3, fraction))
            }
            val (height, width, orientation) = vector.ints("source")
            picture.setNoise(height, width, orientation)
            val pixels = preparation.prepare(picture)
            assertEquals("$vector", vector.text("sha256"), sha256(pixels))
            assertSame(results.getOrPut(preparation) { pixels }, pixels)
        }
    }

    @Test
    fun `a picture that is refused leaves the preparation as it was`() {
        val preparation = Preparation(PictureInput(8, 8, 3))
        val vectors = Vector.all("preparation").filter { it.ints("input") == listOf(8, 8, 3) && "resize" !in it }
        val picture = Picture()
        for (vector in vectors + vectors.reversed()) {
            val (height, width, orientation) = vector.ints("source")
            picture.setNoise(height, width, orientation)
            if ("refused" in vector) {
                assertThrows("$vector", PictureError::class.java) { preparation.prepare(picture) }
            } else {
                assertEquals("$vector", vector.text("sha256"), sha256(preparation.prepare(picture)))
            }
        }
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
