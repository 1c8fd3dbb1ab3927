package io.github.keras_resnet.core

private const val MOST_PIXELS = 1L shl 24

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
     * @throws PictureError it would be larger than any port makes it, though only the crop is computed here.
     */
    fun resized(height: Int, width: Int): Pair<Int, Int> {
        val toHeight = Math.rint(this.height / cropFraction).toLong()
        val toWidth = Math.rint(this.width / cropFraction).toLong()
        val (newHeight, newWidth) = when {
            toHeight > MOST_PIXELS || toWidth > MOST_PIXELS -> toHeight to toWidth // what follows would overflow
            width * toHeight >= height * toWidth -> toHeight to maxOf(toWidth, (width * toHeight + height / 2) / height)
            else -> maxOf(toHeight, (height * toWidth + width / 2) / width) to toWidth
        }
        if (newHeight > MOST_PIXELS / newWidth) {
            throw PictureError("it would be resized to $newWidth x $newHeight pixels; expected at most $MOST_PIXELS")
        }
        return newHeight.toInt() to newWidth.toInt()
    }
}
