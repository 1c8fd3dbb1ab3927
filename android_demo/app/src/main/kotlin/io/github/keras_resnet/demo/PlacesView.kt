package io.github.keras_resnet.demo

import android.content.Context
import android.graphics.Bitmap
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.Paint
import android.graphics.RectF
import android.text.TextPaint
import android.util.AttributeSet
import android.view.View
import io.github.keras_resnet.core.FoundBoxes
import io.github.keras_resnet.core.FoundMask
import io.github.keras_resnet.core.Mask
import io.github.keras_resnet.core.Places
import kotlin.math.roundToInt

/** What lies where, over a picture that is shown as large as fits. */
class PlacesView(context: Context, attributes: AttributeSet?) : View(context, attributes) {
    private val line = Paint(Paint.ANTI_ALIAS_FLAG).apply {
        style = Paint.Style.STROKE
        strokeWidth = resources.getDimension(R.dimen.box_line)
    }
    private val fill = Paint()
    private val text = TextPaint(Paint.ANTI_ALIAS_FLAG).apply { textSize = resources.getDimension(R.dimen.box_text) }
    private val smooth = Paint(Paint.FILTER_BITMAP_FLAG)
    private var places: Places? = null
    private var tint: Bitmap? = null

    /** Shows what was found, or nothing. */
    fun show(places: Places?) {
        this.places = places
        tint = (places as? FoundMask)?.let(::bitmap)
        invalidate()
    }

    private fun bitmap(found: FoundMask): Bitmap {
        val colours = IntArray(256) { if (it < found.colours.size) OPAQUE or found.colours[it] else Color.TRANSPARENT }
        val pixels = IntArray(found.mask.size) { colours[found.mask[it].toInt() and 255] }
        return Bitmap.createBitmap(pixels, found.width, found.height, Bitmap.Config.ARGB_8888)
    }

    override fun onDraw(canvas: Canvas) {
        val places = places ?: return
        val scale = minOf(width.toFloat() / places.width, height.toFloat() / places.height)
        val left = (width - scale * places.width) / 2
        val top = (height - scale * places.height) / 2
        val whole = RectF(left, top, left + scale * places.width, top + scale * places.height)
        tint?.let { canvas.drawBitmap(it, null, whole, smooth) }
        if (places !is FoundBoxes) return
        canvas.save()
        canvas.clipRect(whole)
        for (box in places.boxes.asReversed()) { // the likeliest last, above the others
            val colour = COLOURS[box.label % COLOURS.size]
            line.color = colour
            fill.color = colour
            text.color = if (isBright(colour)) Color.BLACK else Color.WHITE
            val corner = left + scale * box.left to top + scale * box.top
            canvas.drawRect(corner.first, corner.second, left + scale * box.right, top + scale * box.bottom, line)
            if (places.boxes.size > CROWDED) continue
            val words = resources.getString(R.string.box, places.labels[box.label], (100 * box.probability).roundToInt())
            val x = maxOf(left, corner.first)
            val y = maxOf(top, corner.second)
            canvas.drawRect(x, y, x + text.measureText(words), y - text.fontMetrics.ascent + text.fontMetrics.descent, fill)
            canvas.drawText(words, x, y - text.fontMetrics.ascent, text)
        }
        canvas.restore()
    }

    private fun isBright(colour: Int) =
        0.299 * Color.red(colour) + 0.587 * Color.green(colour) + 0.114 * Color.blue(colour) > 128

    private companion object {
        const val CROWDED = 40 // boxes, from which on they have no names
        const val OPAQUE = 0x8C000000.toInt() // a mask over its picture

        /** Okabe and Ito's, as Python's `drawing.PALETTE`. */
        val COLOURS = intArrayOf(0x0072B2, 0xE69F00, 0x009E73, 0xCC79A7, 0xD55E00, 0x56B4E9, 0xF0E442)
            .map { it or 0xFF000000.toInt() }
    }
}
