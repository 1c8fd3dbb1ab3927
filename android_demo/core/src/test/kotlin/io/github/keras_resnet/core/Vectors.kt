package io.github.keras_resnet.core

import java.io.ByteArrayInputStream
import java.io.File
import java.nio.ByteBuffer
import java.security.MessageDigest
import java.util.Base64
import javax.imageio.ImageIO

/** What `golden_vectors.py` wrote, in the words of JSON. */
class Vector(private val fields: Map<*, *>) {
    constructor(item: Any?) : this(item as Map<*, *>)

    operator fun contains(key: String) = key in fields

    fun text(key: String) = fields[key] as String

    fun number(key: String) = fields[key] as Double

    fun boolean(key: String) = fields[key] as Boolean

    fun int(key: String) = number(key).toInt()

    fun numbers(key: String) = fields[key].let { it as? List<*> ?: listOf(it) }.map { it as Double }

    fun ints(key: String) = numbers(key).map { it.toInt() }

    fun floats(key: String) = numbers(key).map { it.toFloat() }.toFloatArray()

    fun bytes(key: String): ByteArray = Base64.getDecoder().decode(text(key))

    fun list(key: String) = (fields[key] as List<*>)

    fun vector(key: String) = Vector(fields[key])

    fun isNull(key: String) = key in fields && fields[key] == null

    override fun toString() = fields.filterKeys { it !in setOf("pixels", "bytes", "rgb") }.toString()

    companion object {
        fun read(name: String): Any? =
            parseJson(Vector::class.java.getResource("/$name.json")!!.readText())

        fun all(name: String): List<Vector> = (read(name) as List<*>).map(::Vector)
    }
}

/** The same noise as golden_vectors.py's, as 0xAARRGGBB; alpha is noise too, and must not matter. */
fun noise(x: Int, y: Int): Int = (0..3).fold(0) { argb, c -> argb or (noise(x, y, c) shl (if (c == 3) 24 else 16 - 8 * c)) }

fun noise(x: Int, y: Int, c: Int): Int {
    val mixed = (x * 73_856_093) xor (y * 19_349_663) xor (c * 83_492_791)
    return ((mixed xor (mixed ushr 13)) * 1_274_126_177 ushr 16) and 255
}

fun Picture.setNoise(height: Int, width: Int, orientation: Int) {
    begin(width, height, orientation)
    val row = IntArray(width)
    for (y in (0 until height).shuffled()) {
        for (x in row.indices) row[x] = noise(x, y)
        setRow(y, row)
    }
}

fun sha256(bytes: ByteArray) =
    MessageDigest.getInstance("SHA-256").digest(bytes).joinToString("") { "%02x".format(it) }

/** A PNG's samples as they are stored; `getRGB` would convert gray ones. */
fun decodePng(png: ByteArray, picture: Picture) {
    val raster = ImageIO.read(ByteArrayInputStream(png)).raster
    picture.begin(raster.width, raster.height)
    val row = IntArray(raster.width)
    for (y in 0 until raster.height) {
        for (x in row.indices) {
            val (red, green, blue) = List(3) { raster.getSample(x, y, it % raster.numBands) }
            row[x] = (255 shl 24) or (red shl 16) or (green shl 8) or blue
        }
        picture.setRow(y, row)
    }
}

/** The models among the app's assets; Gradle runs tests in core/, tools/test_core.sh beside it. */
class Bundled(private val file: File) {
    val name: String = file.nameWithoutExtension
    val content: ByteArray = file.readBytes()
    val model = Model.read(ByteBuffer.wrap(content), name)
    val goldenText = File(file.path.removeSuffix(".tflite") + ".golden.json").readText()

    companion object {
        val all: List<Bundled> = listOf("../app", "app")
            .flatMap { File("$it/src/main/assets/models").listFiles().orEmpty().toList() }
            .filter { it.extension == "tflite" }
            .sorted()
            .map(::Bundled)
    }
}
