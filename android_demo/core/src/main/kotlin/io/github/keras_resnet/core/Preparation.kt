package io.github.keras_resnet.core

/**
 * Resizes a picture until it just covers the network's input and crops its centre, bit for bit as Pillow 13 does.
 * Only what the crop keeps is computed. Buffers are kept and used again.
 */
class Preparation(private val target: PictureInput) {
    private val channels = target.channels
    private val pixels = ByteArray(target.height * target.width * channels)

    private var sourceHeight = 0
    private var sourceWidth = 0
    private var isColumnsFirst = false
    private lateinit var rows: Taps
    private lateinit var columns: Taps

    private var gray = ByteArray(0)
    private var between = ByteArray(0)
    private var sums = IntArray(0)

    /** The prepared pixels, (height, width, channels); the same array in every call. */
    fun prepare(picture: Picture): ByteArray {
        if (picture.height != sourceHeight || picture.width != sourceWidth) setSize(picture.height, picture.width)
        val source = if (channels == 1) toGray(picture) else picture.rgb
        if (isColumnsFirst) {
            rows.alongColumns(source, sourceWidth * channels, 0, between, sums)
            columns.alongRows(between, sourceWidth, channels, 0, target.height, pixels)
        } else {
            columns.alongRows(source, sourceWidth, channels, rows.begin, rows.end - rows.begin, between)
            rows.alongColumns(between, target.width * channels, rows.begin, pixels, sums)
        }
        return pixels
    }

    private fun setSize(height: Int, width: Int) {
        val (toHeight, toWidth) = target.resized(height, width)
        rows = Taps(height, toHeight, (toHeight - target.height) / 2, target.height)
        columns = Taps(width, toWidth, (toWidth - target.width) / 2, target.width)
        // Pillow 13's choice, for speed. Each pass rounds to 8 bits, so the order shows; earlier ones go by rows first.
        isColumnsFirst = height > toHeight && height - toHeight > 2 * (width - toWidth)
        val stride = (if (isColumnsFirst) width else target.width) * channels
        between = ByteArray(stride * (if (isColumnsFirst) target.height else rows.end - rows.begin))
        sums = IntArray(stride)
        sourceHeight = height
        sourceWidth = width
    }

    /** Pillow's luma, ITU-R 601 in 16 bits. */
    private fun toGray(picture: Picture): ByteArray {
        val size = picture.width * picture.height
        if (gray.size < size) gray = ByteArray(size)
        val rgb = picture.rgb
        for (i in 0 until size) {
            val red = rgb[3 * i].toInt() and 255
            val green = rgb[3 * i + 1].toInt() and 255
            val blue = rgb[3 * i + 2].toInt() and 255
            gray[i] = ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) shr 16).toByte()
        }
        return gray
    }
}
