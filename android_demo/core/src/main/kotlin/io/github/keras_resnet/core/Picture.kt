package io.github.keras_resnet.core

/**
 * An upright 8-bit RGB picture. Its buffer is kept and used again, so that a camera's frames allocate nothing.
 *
 * A picture is filled in one go, turned upright while it is written: either `begin` and then every row of a decoded
 * file, or `setYuv` for a frame of the camera.
 */
class Picture {
    var width = 0
        private set
    var height = 0
        private set

    /** Red, green, blue, row by row; the first `3 * width * height` bytes count. */
    var rgb = ByteArray(0)
        private set

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
        TODO()
    }

    /** Writes row `y` of the source: `sourceWidth` pixels 0xAARRGGBB, not premultiplied; alpha is dropped. */
    fun setRow(y: Int, argb: IntArray) {
        TODO()
    }

    /** Takes a frame in YUV_420_888: full-range BT.601, as in JPEG. Row and pixel strides are of `Image.Plane`. */
    fun setYuv(y: Plane, u: Plane, v: Plane, width: Int, height: Int, orientation: Int = 1) {
        TODO()
    }

    companion object {
        /** EXIF's orientation for a clockwise turn by 0, 90, 180 or 270 degrees. */
        fun orientation(degreesClockwise: Int): Int = TODO()
    }
}

/** One plane of a frame; the buffer is read from index 0, whatever its position. */
class Plane(val buffer: java.nio.ByteBuffer, val rowStride: Int, val pixelStride: Int)
