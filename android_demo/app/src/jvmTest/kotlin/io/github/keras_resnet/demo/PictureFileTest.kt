package io.github.keras_resnet.demo

import io.github.keras_resnet.core.Picture
import java.util.Base64
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner

/** Android's decoders against Pillow's, pixel for pixel; picture_vectors.py wrote what is expected. */
@RunWith(RobolectricTestRunner::class)
class PictureFileTest {
    private val lines = javaClass.getResource("/pictures.txt")!!.readText().trim().lines().map { it.split(" ") }

    @Test
    fun `pixels are Pillow's`() {
        assertEquals(20, lines.size)
        val wrong = lines.mapNotNull { (name, width, height, file, rgb) ->
            val picture = Picture()
            PictureFile(decoded(file)).copyTo(picture)
            assertEquals(name, "$width x $height", "${picture.width} x ${picture.height}")
            val expected = decoded(rgb)
            val steps = expected.indices.map { Math.abs(number(expected[it]) - number(picture.rgb[it])) }
            "$name: ${steps.count { it > 0 }} differ, by ${steps.max()}".takeIf { steps.max() > 0 }
        }
        assertEquals(emptyList<String>(), wrong)
    }

    @Test
    fun `what is shown stands upright too`() {
        for ((name, width, height, file) in lines.filter { it[0].startsWith("jpeg_orientation") }) {
            val picture = Picture()
            val decoded = PictureFile(decoded(file))
            decoded.copyTo(picture)
            val shown = decoded.preview()
            assertEquals(name, "$width x $height", "${shown.width} x ${shown.height}")
            val row = IntArray(shown.width * shown.height)
            shown.getPixels(row, 0, shown.width, 0, 0, shown.width, shown.height)
            val rgb = row.flatMap { listOf(it shr 16, it shr 8, it) }.map(Int::toByte).toByteArray()
            assertArrayEquals(name, picture.rgb.copyOf(rgb.size), rgb)
        }
    }

    @Test
    fun `a picture of more pixels than fit is refused before it is decoded`() {
        val bytes = Phone.whitePng(30_000, 30_000)
        assertTrue("${bytes.size}", bytes.size < 1_000_000)
        val error = assertThrows(TooLarge::class.java) { PictureFile(bytes) }
        assertEquals("30000 x 30000", "${error.width} x ${error.height}")
        assertThrows(TooLarge::class.java) { PictureFile(Phone.whitePng(5000, 5001)) }
        val picture = Picture()
        PictureFile(Phone.whitePng(5000, 4000)).copyTo(picture)
        assertEquals("5000 x 4000", "${picture.width} x ${picture.height}")
    }

    @Test
    fun `a strip is shown a pixel wide`() {
        val shown = PictureFile(Phone.whitePng(1, 5000)).preview()
        assertEquals("1 x 1024", "${shown.width} x ${shown.height}")
    }

    private fun number(byte: Byte) = byte.toInt() and 255

    private fun decoded(text: String) = Base64.getDecoder().decode(text)
}
