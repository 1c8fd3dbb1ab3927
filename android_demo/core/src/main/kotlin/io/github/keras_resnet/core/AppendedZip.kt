package io.github.keras_resnet.core

import java.io.ByteArrayInputStream
import java.io.ByteArrayOutputStream
import java.io.IOException
import java.io.InputStream
import java.nio.ByteBuffer
import java.util.zip.ZipInputStream

private const val END_OF_DIRECTORY = 0x06054b50
private const val END_SIZE = 22
private const val ENTRY_OF_DIRECTORY = 0x02014b50
private const val ENTRY_SIZE = 46
private const val MOST_BYTES = 1 shl 24 // unpacked, of all files: 16 MiB, a thousand times what labels need

/**
 * Name -> text of the files in the zip behind a model (little-endian); empty where there is none.
 *
 * @throws ModelError the zip is broken, or too much is in it.
 */
internal fun readAppendedFiles(content: ByteBuffer): Map<String, String> {
    val end = (content.limit() - END_SIZE downTo maxOf(0, content.limit() - END_SIZE - 0xffff))
        .firstOrNull { content.getInt(it) == END_OF_DIRECTORY } ?: return emptyMap()
    val count = content.getShort(end + 10).toInt() and 0xffff
    if (count == 0) return emptyMap()
    val directory = end - content.getInt(end + 12)
    if (directory !in 0..end - ENTRY_SIZE || content.getInt(directory) != ENTRY_OF_DIRECTORY) {
        throw unusable("its list of files is not where it should be")
    }
    // Offsets count from the model's first byte or from the zip's; the first entry's tells which.
    val first = directory - content.getInt(end + 16) + content.getInt(directory + 42)
    if (first !in 0..directory) throw unusable("its first file is not where it should be")
    if (end - first > 2 * MOST_BYTES) throw tooLarge()
    return try {
        unpack(ZipInputStream(ByteArrayInputStream(ByteArray(end - first) { content.get(first + it) })), count)
    } catch (error: IOException) {
        throw unusable("${error.message}")
    } catch (error: IllegalArgumentException) { // a name that is no UTF-8
        throw unusable("${error.message}")
    }
}

private fun unpack(zip: ZipInputStream, count: Int): Map<String, String> {
    val files = LinkedHashMap<String, String>() // the first labels count
    var room = MOST_BYTES
    repeat(count) {
        val entry = zip.nextEntry ?: throw unusable("$it of its $count files are there")
        val bytes = zip.readAtMost(room)
        room -= bytes.size
        files[entry.name] = String(bytes)
    }
    return files
}

/** A few bytes unpack into gigabytes, and what a zip says of its files' sizes may be a lie. */
private fun InputStream.readAtMost(room: Int): ByteArray {
    val bytes = ByteArrayOutputStream()
    val part = ByteArray(1 shl 13)
    while (true) {
        val count = read(part)
        if (count < 0) return bytes.toByteArray()
        bytes.write(part, 0, count)
        if (bytes.size() > room) throw tooLarge()
    }
}

private fun tooLarge() = unusable("it holds more than $MOST_BYTES bytes")

private fun unusable(why: String) = ModelError("The zip behind the model can't be used ($why).")
