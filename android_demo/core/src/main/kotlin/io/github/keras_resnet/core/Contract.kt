package io.github.keras_resnet.core

private const val LONGEST = 64 // of crops beside one another

/** How a picture becomes the network's input: `x = (pixel - mean) / std`, after resize and crop. */
class Contract(
    val height: Int,
    val width: Int,
    /** 3 (RGB) or 1 (gray). */
    val channels: Int,
    val labels: List<String>,
    /** The part of the resized picture's shorter side that the crop keeps, in (0, 1]. */
    val cropFraction: Double = 1.0,
    /** One for each channel, or one for all. */
    val mean: FloatArray = floatArrayOf(128f),
    val std: FloatArray = floatArrayOf(128f),
    val isLogits: Boolean = true,
) {
    /**
     * Size (height, width) of a picture before the crop; in integers, so that every port agrees.
     *
     * @throws PictureError it is so long that 64 crops beside one another would not cover it.
     */
    fun resized(height: Int, width: Int): Pair<Int, Int> {
        val toHeight = Math.rint(this.height / cropFraction).toLong()
        val toWidth = Math.rint(this.width / cropFraction).toLong()
        val (shorter, longer) = listOf(width * toHeight, height * toWidth).sorted()
        if (longer > LONGEST * shorter) {
            throw PictureError(
                "$width × $height pixels are too long for an input of ${this.width} × ${this.height}, which would " +
                    "show less than a ${LONGEST}th of it",
            )
        }
        return if (width * toHeight >= height * toWidth) {
            toHeight.toInt() to maxOf(toWidth, (width * toHeight + height / 2) / height).toInt()
        } else {
            maxOf(toHeight, (height * toWidth + width / 2) / width).toInt() to toWidth.toInt()
        }
    }
}
