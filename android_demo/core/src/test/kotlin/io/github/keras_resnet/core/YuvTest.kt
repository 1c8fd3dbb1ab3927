package io.github.keras_resnet.core

import java.nio.ByteBuffer
import java.security.MessageDigest
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Test

class YuvTest {
    @Test
    fun `all 16,777,216 colours are those of the standard's formula`() {
        val chroma = ByteBuffer.allocateDirect(256 * 256)
        val otherChroma = ByteBuffer.allocateDirect(256 * 256)
        for (i in 0 until 256 * 256) chroma.put(i, (i % 256).toByte()).also { otherChroma.put(i, (i / 256).toByte()) }
        val luma = ByteBuffer.allocateDirect(512 * 512)
        val picture = Picture()
        val digest = MessageDigest.getInstance("SHA-256")
        for (frame in 0 until 64) {
            for (y in 0 until 512) for (x in 0 until 512) luma.put(512 * y + x, (4 * frame + 2 * (y % 2) + x % 2).toByte())
            picture.setYuv(Plane(luma, 512, 1), Plane(chroma, 256, 1), Plane(otherChroma, 256, 1), 512, 512)
            digest.update(picture.rgb, 0, 3 * 512 * 512)
        }
        val found = digest.digest().joinToString("") { "%02x".format(it) }
        assertEquals(Vector(Vector.read("yuv")).text("every_colour"), found)
    }

    @Test
    fun `a frame of odd size is turned upright and mirrored, however its planes lie in memory`() {
        for (vector in Vector(Vector.read("yuv")).list("frames").map(::Vector)) {
            val (width, height) = vector.int("width") to vector.int("height")
            val orientation = Picture.orientation(vector.int("degrees"), vector.boolean("mirrored"))
            for (interleaved in listOf(false, true)) {
                val (u, v) = if (interleaved) interleaved(width, height) else listOf(1, 2).map { plane(4, 3, it, 4) }
                val picture = Picture()
                picture.setYuv(plane(width, height, 0, width + 9), u, v, width, height, orientation)
                assertArrayEquals("$vector", vector.bytes("rgb"), picture.rgb)
                val turned = orientation in 5..8
                assertEquals(if (turned) height else width, picture.width)
            }
        }
    }

    private fun plane(width: Int, height: Int, channel: Int, stride: Int): Plane {
        // Android's last row has no padding.
        val buffer = ByteBuffer.allocate((height - 1) * stride + width)
        for (y in 0 until height) for (x in 0 until width) buffer.put(y * stride + x, noise(x, y, channel).toByte())
        return Plane(buffer, stride, 1)
    }

    /** U and V in one buffer, as most phones hold them: NV21's order, rows padded, V's plane begins one byte earlier. */
    private fun interleaved(width: Int, height: Int): List<Plane> {
        val stride = width + 1 + 4
        val buffer = ByteBuffer.allocate(stride * ((height + 1) / 2))
        for (y in 0 until (height + 1) / 2) {
            for (x in 0 until (width + 1) / 2) {
                buffer.put(y * stride + 2 * x, noise(x, y, 2).toByte())
                buffer.put(y * stride + 2 * x + 1, noise(x, y, 1).toByte())
            }
        }
        val u = buffer.duplicate().apply { (this as java.nio.Buffer).position(1) }.slice()
        return listOf(Plane(u, stride, 2), Plane(buffer, stride, 2))
    }
}
