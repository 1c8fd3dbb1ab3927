package io.github.keras_resnet.core

import java.nio.ByteBuffer

/** A picture that can't be prepared; the message says why, in words that fit after a colon. The model is all right. */
class PictureError(message: String) : Exception(message)

/**
 * An upright 8-bit RGB picture. Its buffer is kept and used again, so that a camera's frames allocate nothing.
 *
 * A picture is turned upright while it is written: `begin` and then every row of a decoded file, or `setYuv` for a
 * frame of the camera.
 */
class Picture {
    var width = 0
        private set
    var height = 0
        private set

    /** Red, green, blue, row by row; the first `3 * width * height` bytes count. */
    var rgb = ByteArray(0)
        private set

    private val planeRows = Array(3) { ByteArray(0) }

    // Pixel (x, y) of the source goes to rgb[start + x * stepX + y * stepY], for every orientation.
    private var start = 0
    private var stepX = 0
    private var stepY = 0
    private var sourceWidth = 0
    private var sourceHeight = 0

    /**
     * Sets the size of the source and how it must be turned. Rows may then come in any order.
     *
     * @param orientation EXIF's, 1 to 8 (6: turn by 90 degrees clockwise). Anything else counts as 1, as in Pillow.
     */
    fun begin(sourceWidth: Int, sourceHeight: Int, orientation: Int = 1) {
        require(sourceWidth > 0 && sourceHeight > 0) { "a picture of $sourceWidth x $sourceHeight pixels" }
        this.sourceWidth = sourceWidth
        this.sourceHeight = sourceHeight
        val sideways = orientation in 5..8
        width = if (sideways) sourceHeight else sourceWidth
        height = if (sideways) sourceWidth else sourceHeight
        val size = Math.multiplyExact(3, Math.multiplyExact(width, height))
        if (rgb.size < size) rgb = ByteArray(size)

        val mirrored = orientation in MIRRORED // the upright picture's x runs against the source's
        val flipped = orientation in FLIPPED // its y does
        val column = if (mirrored) -3 else 3
        val row = if (flipped) -3 * width else 3 * width
        start = (if (mirrored) 3 * (width - 1) else 0) + (if (flipped) 3 * width * (height - 1) else 0)
        stepX = if (sideways) row else column
        stepY = if (sideways) column else row
    }

    /** Writes row `y` of the source: its pixels 0xAARRGGBB, not premultiplied; alpha is dropped. */
    fun setRow(y: Int, argb: IntArray) {
        var to = start + y * stepY
        for (x in 0 until sourceWidth) {
            put(to, argb[x] shr 16, argb[x] shr 8, argb[x])
            to += stepX
        }
    }

    /** Takes a frame in YUV_420_888, full-range BT.601 as in JPEG; each pixel takes the chroma of its square of four. */
    fun setYuv(y: Plane, u: Plane, v: Plane, width: Int, height: Int, orientation: Int = 1) {
        begin(width, height, orientation)
        for (row in 0 until height) {
            val lumas = y.row(row, width, 0)
            val blues = u.row(row / 2, (width + 1) / 2, 1)
            val reds = v.row(row / 2, (width + 1) / 2, 2)
            var to = start + row * stepY
            for (column in 0 until width) {
                val luma = lumas[column * y.pixelStride].toInt() and 255
                val blue = (blues[column / 2 * u.pixelStride].toInt() and 255) - 128
                val red = (reds[column / 2 * v.pixelStride].toInt() and 255) - 128
                // In whole numbers, the standard's decimals exactly, rounded to nearest.
                put(
                    to,
                    clip((1000 * luma + 1402 * red + 500) / 1000),
                    clip((1_000_000 * luma - 344_136 * blue - 714_136 * red + 500_000) / 1_000_000),
                    clip((1000 * luma + 1772 * blue + 500) / 1000),
                )
                to += stepX
            }
        }
    }

    /** A row of a plane in an array, which is read faster than a direct buffer; `slot` says which of three arrays. */
    private fun Plane.row(y: Int, width: Int, slot: Int): ByteArray {
        val size = (width - 1) * pixelStride + 1
        if (planeRows[slot].size < size) planeRows[slot] = ByteArray(size)
        view.position(y * rowStride)
        view.get(planeRows[slot], 0, size)
        return planeRows[slot]
    }

    private fun put(to: Int, red: Int, green: Int, blue: Int) {
        rgb[to] = red.toByte()
        rgb[to + 1] = green.toByte()
        rgb[to + 2] = blue.toByte()
    }

    private fun clip(value: Int) = if (value < 0) 0 else if (value > 255) 255 else value

    companion object {
        private val MIRRORED = setOf(2, 3, 6, 7)
        private val FLIPPED = setOf(3, 4, 7, 8)

        /** EXIF's orientation for a clockwise turn by 0, 90, 180 or 270 degrees, and for a mirror held up to that. */
        fun orientation(degreesClockwise: Int, isMirrored: Boolean = false): Int =
            when (degreesClockwise) {
                0 -> if (isMirrored) 2 else 1
                90 -> if (isMirrored) 5 else 6
                180 -> if (isMirrored) 4 else 3
                270 -> if (isMirrored) 7 else 8
                else -> throw IllegalArgumentException("a turn by $degreesClockwise degrees; expected 0, 90, 180, 270")
            }
    }
}

/** One plane of a frame, as `Image.Plane` describes it; the buffer is read from index 0, whatever its position. */
class Plane(buffer: ByteBuffer, val rowStride: Int, val pixelStride: Int) {
    internal val view: ByteBuffer = buffer.duplicate()
}
