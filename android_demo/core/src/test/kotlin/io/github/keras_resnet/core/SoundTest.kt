package io.github.keras_resnet.core

import kotlin.math.PI
import kotlin.math.sin
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

class SoundTest {
    private fun sound(of: Vector): SoundInput {
        fun number(name: String) = of.number(name)
        return SoundInput(
            of.int("rate"), number("seconds"), of.int("window"), of.int("hop"), of.int("bands"),
            number("lowest"), number("highest"), number("quiet"), number("loud"),
        )
    }

    @Test
    fun `bytes are Python's, of WAV files of every width`() {
        val cases = Vector.all("sounds")
        for (case in cases) {
            val sound = sound(case.vector("sound"))
            val recording = Recording.read(case.bytes("wav"))
            assertEquals(sound.rate, recording.rate)
            assertEquals(case.ints("shape"), sound.shape)
            assertArrayEquals("$case", case.bytes("pixels"), sound.pixels(recording.samples))
        }
        assertEquals(14, cases.size)
    }

    @Test
    fun `a tone is heard where it is`() {
        val sound = SoundInput(16000, 1.0, 512, 256, 40, 60.0, 7600.0, -90.0, -10.0)
        val pixels = sound.pixels(DoubleArray(16000) { 0.03 * sin(2 * PI * 1000 * it / 16000) })
        val row = pixels.toList().chunked(40)[30].map { it.toInt() and 255 }
        assertTrue("$row", row.indexOf(row.max()) in 13..15 && row.max() in 180..200)
    }

    @Test
    fun `what is no WAV file is said`() {
        val whole = Vector.all("sounds").first().bytes("wav")
        for (broken in listOf(ByteArray(0), ByteArray(50), whole.copyOf(30), whole.copyOf(40), whole.clone().also { it[20] = 3 })) {
            val error = assertThrows(SoundError::class.java) { Recording.read(broken) }
            assertEquals("This is no WAV file of 8, 16, 24 or 32 bits PCM.", error.message)
        }
        assertEquals(28, Recording.read(whole.copyOf(44 + 57)).samples.size) // cut in the midst of a sample
    }
}
