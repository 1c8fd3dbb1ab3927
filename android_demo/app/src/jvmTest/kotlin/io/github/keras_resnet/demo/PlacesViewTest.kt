package io.github.keras_resnet.demo

import android.graphics.Bitmap
import android.graphics.Canvas
import android.graphics.Color
import android.view.View
import io.github.keras_resnet.core.Box
import io.github.keras_resnet.core.FoundBoxes
import io.github.keras_resnet.core.FoundMask
import io.github.keras_resnet.core.Mask
import io.github.keras_resnet.core.Places
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner

/** Boxes and masks over a picture of 100 by 50 pixels, shown as large as fits into 400 by 400. */
@RunWith(RobolectricTestRunner::class)
class PlacesViewTest {
    private fun drawn(phone: Phone, places: Places?): Bitmap {
        val view = phone.view(R.id.places) as PlacesView
        view.measure(exactly(400), exactly(400))
        view.layout(0, 0, 400, 400)
        view.show(places)
        return Bitmap.createBitmap(400, 400, Bitmap.Config.ARGB_8888).also { view.draw(Canvas(it)) }
    }

    private fun exactly(size: Int) = View.MeasureSpec.makeMeasureSpec(size, View.MeasureSpec.EXACTLY)

    @Test
    fun `boxes are where they were found`() {
        Phone().use { phone ->
            val boxes = listOf(Box(1, 0.9, 25f, 25f, 75f, 45f), Box(0, 0.5, -10f, -10f, 10f, 60f))
            val bitmap = drawn(phone, FoundBoxes(50, 100, boxes, listOf("a", "b")))
            // The picture's corner lies at (0, 100), four pixels for one.
            assertEquals(0xFFE69F00.toInt(), bitmap.getPixel(200, 280)) // the lower edge
            assertEquals(0xFFE69F00.toInt(), bitmap.getPixel(300, 240)) // the right one
            assertEquals(0xFF0072B2.toInt(), bitmap.getPixel(40, 200))
            assertEquals(Color.TRANSPARENT, bitmap.getPixel(250, 250))
            assertEquals(Color.TRANSPARENT, bitmap.getPixel(40, 80)) // beyond the picture nothing is drawn
            phone.draw("boxes")
            assertEquals(Color.TRANSPARENT, drawn(phone, null).getPixel(200, 280))
        }
    }

    @Test
    fun `a detector and a segmenter answer on the phone as in Python, and draw it`() {
        for (name in listOf("detector", "segmenter")) {
            val golden = Phone.golden(name)
            Phone(Phone.sharing(golden[0].file)).use { phone ->
                phone.choose(R.id.models, name)
                phone.await(R.id.status) { it.startsWith(name) }
                phone.await({ phone.described(R.id.bars) }) { it.contains("percent") }
                phone.tap(R.id.check_button)
                val text = phone.await(R.id.check) { it.contains("identical") }
                assertEquals("Self-check on CPU, 2 threads: 4/4 identical", text)
                val view = phone.view(R.id.places)
                val bitmap = Bitmap.createBitmap(view.width, view.height, Bitmap.Config.ARGB_8888)
                view.draw(Canvas(bitmap))
                val coloured = (0 until bitmap.width step 3).sumOf { x ->
                    (0 until bitmap.height step 3).count { y -> bitmap.getPixel(x, y) != Color.TRANSPARENT }
                }
                assertTrue("$name $coloured", coloured > 100)
                phone.draw(name)
            }
        }
    }

    @Test
    fun `a mask tints the picture`() {
        Phone().use { phone ->
            val mask = ByteArray(50 * 100) { if (it % 100 < 50) 1 else Mask.NO_CLASS }
            val bitmap = drawn(phone, FoundMask(50, 100, mask, listOf(0x0000FF, 0xFF0000)))
            val pixel = bitmap.getPixel(100, 200)
            assertTrue(Color.red(pixel) > 250 && Color.green(pixel) < 5 && Color.alpha(pixel) in 130..150)
            assertEquals(Color.TRANSPARENT, bitmap.getPixel(350, 200))
            assertEquals(Color.TRANSPARENT, bitmap.getPixel(100, 50))
            phone.draw("mask")
        }
    }
}
