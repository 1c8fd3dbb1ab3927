package io.github.keras_resnet.core

import java.nio.ByteBuffer

/**
 * A flatbuffer's table at a place of a little-endian buffer: its first word leads to the list of its slots, a slot to
 * its value. Reading beyond a broken file's end throws `IndexOutOfBoundsException`.
 */
internal class FlatTable(private val content: ByteBuffer, private val place: Int) {
    fun byte(slot: Int): Int = at(slot)?.let { content.get(it).toInt() } ?: 0

    fun int(slot: Int): Int = at(slot)?.let { content.getInt(it) } ?: 0

    fun table(slot: Int): FlatTable? = target(slot)?.let { FlatTable(content, it) }

    fun ints(slot: Int): List<Int> = items(slot, 4) { content.getInt(it) }

    fun longs(slot: Int): List<Long> = items(slot, 8) { content.getLong(it) }

    fun floats(slot: Int): List<Float> = items(slot, 4) { content.getFloat(it) }

    fun tables(slot: Int): List<FlatTable> = items(slot, 4) { FlatTable(content, it + content.getInt(it)) }

    fun text(slot: Int): String? = target(slot)?.let { String(bytes(it)) }

    /** A vector of bytes that holds another flatbuffer: its root. */
    fun nested(slot: Int): FlatTable? = target(slot)?.let { root(content, it + 4) }

    private fun bytes(vector: Int) = ByteArray(size(vector, 1)) { content.get(vector + 4 + it) }

    private fun <T> items(slot: Int, bytes: Int, read: (Int) -> T): List<T> {
        val vector = target(slot) ?: return emptyList()
        return List(size(vector, bytes)) { read(vector + 4 + bytes * it) }
    }

    /** Checked against the buffer, so that a broken file asks for no gigabytes. */
    private fun size(vector: Int, bytes: Int): Int {
        val size = content.getInt(vector)
        if (size < 0 || size > (content.limit() - vector - 4) / bytes) throw IndexOutOfBoundsException("a vector of $size items")
        return size
    }

    private fun target(slot: Int): Int? = at(slot)?.let { it + content.getInt(it) }

    /** Where a slot's own value is; null where it is empty. */
    fun at(slot: Int): Int? {
        val slots = place - content.getInt(place)
        if (4 + 2 * slot >= content.getShort(slots).toInt() and 0xffff) return null
        val offset = content.getShort(slots + 4 + 2 * slot).toInt() and 0xffff
        return if (offset == 0) null else place + offset
    }

    companion object {
        fun root(content: ByteBuffer, start: Int = 0) = FlatTable(content, start + content.getInt(start))
    }
}
