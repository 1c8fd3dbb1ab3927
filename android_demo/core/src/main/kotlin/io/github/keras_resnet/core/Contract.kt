package io.github.keras_resnet.core

private const val LONGEST = 64 // of crops beside one another
private const val MOST_COVERED = 1 shl 24 // pixels of a square picture before the crop

/** How a raw thing becomes the network's input. */
sealed interface Input {
    /** Without the batch. */
    val shape: List<Int>
}

/** From a raw thing to an answer. */
class Contract(val input: Input, val output: Output) {
    /** @throws ModelError the network takes something else. */
    val picture: PictureInput get() = input as? PictureInput ?: throw ModelError("It takes no pictures.")
}

/**
 * How a picture becomes the network's input: `x = (pixel - mean) / std`, after resize and crop.
 *
 * @throws ModelError no picture can be prepared so; the message goes on after a colon.
 */
class PictureInput(
    val height: Int,
    val width: Int,
    /** 3 (RGB) or 1 (gray). */
    val channels: Int,
    /** The part of the resized picture's shorter side that the crop keeps, in (0, 1]. */
    val cropFraction: Double = 1.0,
    /** One for each channel, or one for all. */
    val mean: FloatArray = floatArrayOf(128f),
    val std: FloatArray = floatArrayOf(128f),
    /** To the size before the crop, whatever a picture's shape, so that nothing is cut off. */
    private val isStretched: Boolean = false,
) : Input {
    override val shape: List<Int> get() = listOf(height, width, channels)

    init {
        if (!isUsable()) {
            throw ModelError(
                "a picture $shape, mean ${mean.toList()}, std ${std.toList()}, crop $cropFraction; expected 1 or 3 " +
                    "channels, one number or one for each, no std of 0, and a crop of at most 1 out of at most " +
                    "$MOST_COVERED pixels.",
            )
        }
    }

    private fun isUsable(): Boolean {
        val sizes = listOf(1, channels)
        return height > 0 && width > 0 && channels in listOf(1, 3) &&
            mean.size in sizes && std.size in sizes && std.all { it != 0f } &&
            (mean + std).all { it - it == 0f } && // neither NaN nor infinite
            cropFraction > 0 && cropFraction <= 1 &&
            height.toDouble() * width / (cropFraction * cropFraction) <= MOST_COVERED
    }

    /** Boxes of the network's input, on a picture of so many pixels. */
    fun unplaced(boxes: List<Box>, height: Int, width: Int): List<Box> {
        val (toHeight, toWidth) = resized(height, width)
        val down = toHeight.toDouble() / height
        val across = toWidth.toDouble() / width
        val top = (toHeight - this.height) / 2
        val left = (toWidth - this.width) / 2
        return boxes.map {
            Box(
                it.label,
                it.probability,
                ((it.left + left.toDouble()) / across).toFloat(),
                ((it.top + top.toDouble()) / down).toFloat(),
                ((it.right + left.toDouble()) / across).toFloat(),
                ((it.bottom + top.toDouble()) / down).toFloat(),
            )
        }
    }

    /** What the input shows of a picture of so many pixels: (left, top) to (right, bottom), whole pixels of it. */
    fun shown(height: Int, width: Int): IntArray {
        val all = Box(0, 1.0, 0f, 0f, this.width.toFloat(), this.height.toFloat())
        val box = unplaced(listOf(all), height, width)[0]
        val left = maxOf(0, Math.rint(box.left.toDouble()).toInt())
        val top = maxOf(0, Math.rint(box.top.toDouble()).toInt())
        val right = maxOf(left + 1, minOf(width, Math.rint(box.right.toDouble()).toInt()))
        val bottom = maxOf(top + 1, minOf(height, Math.rint(box.bottom.toDouble()).toInt()))
        return intArrayOf(left, top, right, bottom)
    }

    /**
     * Size (height, width) of a picture before the crop; in integers, so that every port agrees.
     *
     * @throws PictureError it is so long that 64 crops beside one another would not cover it.
     */
    fun resized(height: Int, width: Int): Pair<Int, Int> {
        val toHeight = Math.rint(this.height / cropFraction).toLong()
        val toWidth = Math.rint(this.width / cropFraction).toLong()
        if (isStretched) return toHeight.toInt() to toWidth.toInt()
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

/**
 * What `contract.json` says: of version 1, which had no number and laid both parts into one object, of version 2, or of
 * version 3, which has pictures that are stretched.
 *
 * @throws ModelError it says none; the message goes on after a colon.
 */
internal fun readContract(json: String): Contract {
    val saved = fields(parseJson(json))
    return when (val version = if ("version" in saved) saved["version"] else 1.0) {
        1.0 -> Contract(picture(saved), classes(saved, "output"))
        2.0, 3.0 -> Contract(input(part(saved, "input", "picture", "sound", "text")), output(part(saved, "output", "classes", "labels", "boxes", "mask")))
        else -> throw ModelError("version $version; known are 1 to 3; a newer app may know it.")
    }
}

private fun part(saved: Map<*, *>, name: String, vararg known: String): Map<*, *> {
    val part = fields(saved[name])
    if (part["kind"] !in known) {
        throw ModelError("$name ${part["kind"]}; known are ${known.joinToString()}; a newer app may know it.")
    }
    return part
}

private fun fields(value: Any?) = value as? Map<*, *> ?: emptyMap<String, Any?>()

private fun input(saved: Map<*, *>): Input = when (saved["kind"]) {
    "sound" -> sound(saved)
    "text" -> text(saved)
    else -> picture(saved)
}

private fun whole(saved: Map<*, *>, key: String): Int {
    val number = saved[key] as? Double ?: Double.NaN
    if (number != Math.rint(number)) throw ModelError("$key ${saved[key]}; expected a whole number.")
    return number.toInt()
}

private fun sound(saved: Map<*, *>): SoundInput {
    fun number(key: String) = saved[key] as? Double ?: throw ModelError("$key ${saved[key]}; expected a number.")
    val sound = SoundInput(
        whole(saved, "rate"), number("seconds"), whole(saved, "window"), whole(saved, "hop"), whole(saved, "bands"),
        number("lowest"), number("highest"), number("quiet"), number("loud"),
    )
    return sound
}

private fun text(saved: Map<*, *>): TextInput {
    fun numbers(key: String) = if (key in saved) whole(saved, key) else 0
    val vocabulary = (saved["vocabulary"] as? List<*>)?.map { it as? String ?: throw ModelError("a token $it; expected a text.") }
    return TextInput(vocabulary ?: throw ModelError("no vocabulary."), whole(saved, "length"), numbers("pairs"), numbers("pieces"))
}

private fun picture(saved: Map<*, *>): PictureInput {
    fun whole(key: String) = whole(saved, key)
    fun numbers(key: String): List<Double> {
        val value = if (key in saved) saved[key] else 128.0
        return (value as? List<*> ?: listOf(value)).map { it as? Double ?: Double.NaN }
    }
    fun floats(key: String) = numbers(key).map { it.toFloat() }.toFloatArray()
    val cropFraction = if ("crop_fraction" in saved) saved["crop_fraction"] as? Double ?: Double.NaN else 1.0
    val resize = if ("resize" in saved) saved["resize"] else "cover"
    if (resize != "cover" && resize != "stretch") throw ModelError("resize $resize; expected cover or stretch.")
    return PictureInput(
        whole("height"), whole("width"), whole("channels"), cropFraction, floats("mean"), floats("std"), resize == "stretch",
    )
}

private fun output(saved: Map<*, *>): Output = when (saved["kind"]) {
    "boxes" -> boxes(saved)
    "mask" -> mask(saved)
    else -> scores(saved)
}

private fun boxes(saved: Map<*, *>): Boxes {
    val levels = (saved["levels"] as? List<*>).orEmpty().map {
        val numbers = wholes("levels", it)
        if (numbers.size != 3) throw ModelError("levels of ${numbers.size} numbers; expected rows, columns and stride.")
        Level(numbers[0], numbers[1], numbers[2])
    }
    fun number(key: String, usual: Double) = if (key in saved) saved[key] as? Double ?: Double.NaN else usual
    return Boxes(labels(saved), levels, number("threshold", 0.3), number("overlap", 0.6), number("most", 100.0).toInt())
}

private fun mask(saved: Map<*, *>): Mask {
    val size = wholes("size", saved["size"])
    if (size.size != 2) throw ModelError("a size of ${size.size} numbers; expected rows and columns.")
    val colours = (saved["colours"] as? List<*>).orEmpty().map { colour ->
        val bytes = wholes("colours", colour)
        if (bytes.size != 3 || bytes.any { it !in 0..255 }) throw ModelError("a colour $bytes; expected three bytes.")
        (bytes[0] shl 16) or (bytes[1] shl 8) or bytes[2]
    }
    return Mask(labels(saved), size[0], size[1], colours)
}

private fun wholes(name: String, value: Any?): List<Int> = (value as? List<*>).orEmpty().map {
    val number = it as? Double ?: Double.NaN
    if (number != Math.rint(number)) throw ModelError("$name $value; expected whole numbers.")
    number.toInt()
}

private fun scores(saved: Map<*, *>): Output {
    val classes = classes(saved, "scores")
    if (saved["kind"] == "classes") return classes
    val thresholds = if ("thresholds" in saved) saved["thresholds"] else emptyList<Double>()
    if (thresholds !is List<*>) throw ModelError("thresholds $thresholds; expected a list of numbers.")
    return Labels(classes.labels, classes.isLogits, thresholds.map { it as? Double ?: Double.NaN })
}

private fun classes(saved: Map<*, *>, scoresKey: String): Classes {
    val scores = if (scoresKey in saved) saved[scoresKey] else "logits"
    if (scores != "logits" && scores != "probabilities") throw ModelError("scores $scores; expected logits or probabilities.")
    return Classes(labels(saved), scores == "logits")
}

private fun labels(saved: Map<*, *>): List<String> {
    val labels = (saved["labels"] as? List<*>)?.map { it as? String ?: throw ModelError("a label $it; expected a name.") }
    return labels ?: throw ModelError("no list of labels.")
}
