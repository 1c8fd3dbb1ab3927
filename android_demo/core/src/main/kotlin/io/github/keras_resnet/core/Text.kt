package io.github.keras_resnet.core

import java.text.Normalizer
import java.util.Locale

/** How a text becomes the network's input: numbers of its tokens, of pairs, and of how tokens begin and end, as `device/text.py` makes them. */
class TextInput(vocabulary: List<String>, val length: Int, private val pairs: Int, private val pieces: Int) : Input {
    private val first = 2 + vocabulary.size // of the pairs
    private val places = vocabulary.withIndex().associate { (i, token) -> token to 2 + i }
    override val shape: List<Int> get() = listOf(length, 1 + (if (pairs > 0) 1 else 0) + (if (pieces > 0) 2 else 0))

    init {
        if (places.size < vocabulary.size || "" in places) throw ModelError("a vocabulary of ${vocabulary.size}; expected texts, each once.")
        if (length !in 1..MOST_TOKENS || pairs !in 0..MOST_TOKENS || pieces !in 0..MOST_TOKENS) {
            throw ModelError("a text of $length tokens, $pairs pairs, $pieces pieces; that can't be.")
        }
    }

    companion object {
        /** A text file's text, without the mark that some editors put before it. */
        fun read(content: ByteArray): String = content.decodeToString(throwOnInvalidSequence = true).removePrefix("\uFEFF")
    }

    /** The numbers, row by row; 0 behind the end, 1 of a token that is not in the vocabulary. */
    fun ids(text: String): IntArray {
        val found = tokens(text)
        val (rows, columns) = shape
        val made = IntArray(rows * columns)
        for (i in 0 until minOf(rows, found.size)) {
            made[i * columns] = places[found[i]] ?: 1
            if (pairs > 0 && i + 1 < found.size) {
                made[i * columns + 1] = first + hashed("${found[i]} ${found[i + 1]}", pairs)
            }
            if (pieces > 0) {
                val points = found[i].codePoints().toArray()
                val beginning = String(points, 0, minOf(BEGINNING, points.size))
                val end = String(points, maxOf(0, points.size - END), minOf(END, points.size))
                made[i * columns + columns - 2] = first + pairs + hashed("^$beginning", pieces)
                made[i * columns + columns - 1] = first + pairs + hashed("$end$", pieces)
            }
        }
        return made
    }
}

private const val MOST_TOKENS = 1 shl 20

/** Apostrophes; of a sigma, whether it is a word's last is told otherwise by each language's library. */
private val ALIKE = mapOf(0x2019 to '\''.code, 0x02bc to '\''.code, 0xff07 to '\''.code, 0x03c2 to 0x03c3)
private const val BEGINNING = 5 // code points
private const val END = 3

private fun hashed(text: String, numbers: Int): Int = (fnv1a(text.toByteArray()).toLong() and 0xffffffffL).mod(numbers)

/** The tokens of a text: runs of letters, marks and digits, ideographs, and all else that is seen, one by one. */
internal fun tokens(text: String): List<String> {
    val points = Normalizer.normalize(text, Normalizer.Form.NFKC).lowercase(Locale.ROOT).codePoints()
        .map { ALIKE[it] ?: it }.toArray()
    val found = ArrayList<String>()
    val run = StringBuilder()
    for ((i, point) in points.withIndex()) {
        val between = point == '\''.code && run.isNotEmpty() && i + 1 < points.size && isOfWords(points[i + 1])
        if (isOfWords(point) || between) {
            run.appendCodePoint(point)
            continue
        }
        if (run.isNotEmpty()) found.add(run.toString())
        run.clear()
        if (Character.getType(point).toByte() !in UNSEEN) found.add(String(Character.toChars(point)))
    }
    if (run.isNotEmpty()) found.add(run.toString())
    return found
}

private fun isOfWords(point: Int) = Character.getType(point).toByte() in OF_WORDS && ALONE.none { point in it }

/** FNV-1a, 32 bits. */
internal fun fnv1a(content: ByteArray): Int = content.fold(-2128831035) { hash, byte -> (hash xor (byte.toInt() and 255)) * 16777619 }

private val ALONE = listOf(0x3040..0x30ff, 0x3400..0x4dbf, 0x4e00..0x9fff, 0xf900..0xfaff, 0x20000..0x3ffff)

/** Letters, marks, numbers. */
private val OF_WORDS = setOf(
    Character.UPPERCASE_LETTER, Character.LOWERCASE_LETTER, Character.TITLECASE_LETTER, Character.MODIFIER_LETTER,
    Character.OTHER_LETTER, Character.NON_SPACING_MARK, Character.COMBINING_SPACING_MARK, Character.ENCLOSING_MARK,
    Character.DECIMAL_DIGIT_NUMBER, Character.LETTER_NUMBER, Character.OTHER_NUMBER,
)

/** Separators and controls. */
private val UNSEEN = setOf(
    Character.SPACE_SEPARATOR, Character.LINE_SEPARATOR, Character.PARAGRAPH_SEPARATOR, Character.CONTROL,
    Character.FORMAT, Character.SURROGATE, Character.PRIVATE_USE, Character.UNASSIGNED,
)
