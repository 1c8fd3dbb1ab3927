package io.github.keras_resnet.demo

import android.util.Size
import org.junit.Assert.assertEquals
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment

/** What the app chooses by itself, and offers. */
@RunWith(RobolectricTestRunner::class)
class ChoicesTest {
    @Test
    fun `a frame is turned as the sensor sits and the screen is held`() {
        val back = CameraChoice("0", Size(640, 480), 90, isFront = false)
        assertEquals(listOf(90, 0, 270, 180), listOf(0, 90, 180, 270).map(back::degrees))
        val front = CameraChoice("1", Size(640, 480), 270, isFront = true)
        assertEquals(listOf(270, 0, 90, 180), listOf(0, 90, 180, 270).map(front::degrees))
    }

    @Test
    fun `a front camera's frame is mirrored as its preview is`() {
        val back = CameraChoice("0", Size(640, 480), 90, isFront = false)
        assertEquals(listOf(6, 1, 8, 3), listOf(0, 90, 180, 270).map(back::orientation))
        val front = CameraChoice("1", Size(640, 480), 270, isFront = true)
        assertEquals(listOf(7, 2, 5, 4), listOf(0, 90, 180, 270).map(front::orientation))
    }

    @Test
    fun `frames are as small as is enough`() {
        val sizes = listOf(Size(4000, 3000), Size(320, 240), Size(640, 480), Size(1280, 720))
        assertEquals(Size(640, 480), CameraChoice.size(sizes))
        assertEquals(Size(320, 240), CameraChoice.size(listOf(Size(176, 144), Size(320, 240))))
        assertEquals(null, CameraChoice.size(emptyList()))
    }

    @Test
    fun `threads are offered up to the cores`() {
        val resources = RuntimeEnvironment.getApplication().resources
        assertEquals(listOf("CPU, 1 thread", "GPU", "NNAPI"), Processor.all(1).map { it.name(resources) })
        assertEquals(
            listOf("CPU, 2 threads", "CPU, 1 thread", "CPU, 4 threads", "CPU, 8 threads", "GPU", "NNAPI"),
            Processor.all(12).map { it.name(resources) },
        )
    }
}
