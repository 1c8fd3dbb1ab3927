package io.github.keras_resnet.core

import java.io.ByteArrayInputStream
import java.io.IOException
import java.nio.ByteBuffer
import java.util.zip.ZipInputStream

private const val END_OF_DIRECTORY = 0x06054b50
private const val END_SIZE = 22

/** Name -> text of the files in the zip behind a model (little-endian); empty where there is none. */
internal fun readAppendedFiles(content: ByteBuffer): Map<String, String> {
    val end = (content.limit() - END_SIZE downTo maxOf(0, content.limit() - END_SIZE - 0xffff))
        .firstOrNull { content.getInt(it) == END_OF_DIRECTORY } ?: return emptyMap()
    val directory = end - content.getInt(end + 12)
    // Offsets count from the model's first byte or from the zip's; the first entry's tells which.
    val first = directory - content.getInt(end + 16) + content.getInt(directory + 42)
    if (first !in 0..end) return emptyMap()
    val bytes = ByteArray(end - first) { content.get(first + it) }
    val zip = ZipInputStream(ByteArrayInputStream(bytes))
    return try {
        generateSequence { zip.nextEntry }.associate { it.name to String(zip.readBytes()) }
    } catch (error: IOException) {
        throw broken(error)
    } catch (error: IllegalArgumentException) { // a name that is no UTF-8
        throw broken(error)
    }
}

private fun broken(error: Exception) = ModelError("The zip inside the model is broken (${error.message}).")
