package io.github.keras_resnet.core

/**
 * Reads JSON to `Map`, `List`, `String`, `Double`, `Boolean` and null. Android's own reader is not on a plain JVM, and
 * what is read here is what the tests read.
 *
 * @throws ModelError it is no JSON; the message says where.
 */
internal fun parseJson(text: String): Any? = JsonReader(text).document()

private const val DEEPEST = 100 // lists in lists; each is some calls on the stack, and a hundred thousand end the app

private val NUMBER = Regex("-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][-+]?[0-9]+)?") // Kotlin takes more, as 01 and 1.

private class JsonReader(private val text: String) {
    private var at = 0
    private var depth = 0

    fun document(): Any? {
        val value = value()
        if (peek() != null) fail("the end")
        return value
    }

    private fun value(): Any? =
        when (val next = peek()) {
            '{' -> items('}') { string().also { expect(':') } to value() }.toMap()
            '[' -> items(']') { value() }
            '"' -> string()
            't' -> word("true", true)
            'f' -> word("false", false)
            'n' -> word("null", null)
            else -> if (next == '-' || next in '0'..'9') number() else fail("a value")
        }

    private fun <T> items(end: Char, item: () -> T): List<T> {
        if (++depth > DEEPEST) fail("at most $DEEPEST levels")
        at++
        val items = ArrayList<T>()
        while (peek() != end || items.isNotEmpty()) {
            items.add(item())
            if (peek() != ',') break
            at++
        }
        expect(end)
        depth--
        return items
    }

    private fun string(): String {
        expect('"')
        val result = StringBuilder()
        while (true) {
            val run = at
            while (at < text.length && text[at] != '"' && text[at] != '\\' && text[at] >= ' ') at++
            result.append(text, run, at)
            if (at >= text.length || text[at] < ' ') fail("a closing quote")
            if (text[at++] == '"') return result.toString()
            result.append(escaped())
        }
    }

    private fun escaped(): Char =
        when (val mark = text.getOrNull(at++)) {
            '"', '\\', '/' -> mark
            'b' -> '\b'
            'f' -> '\u000c'
            'n' -> '\n'
            'r' -> '\r'
            't' -> '\t'
            'u' -> {
                val digits = text.substring(at, minOf(at + 4, text.length))
                if (digits.length < 4 || digits.any { Character.digit(it, 16) < 0 }) fail("four digits")
                at += 4
                digits.toInt(16).toChar()
            }
            else -> fail("an escape")
        }

    private fun number(): Double {
        val begin = at
        while (at < text.length && text[at] in "+-.eE0123456789") at++
        val digits = text.substring(begin, at)
        return if (NUMBER.matches(digits)) digits.toDouble() else fail("a number")
    }

    private fun <T> word(word: String, value: T): T {
        if (!text.startsWith(word, at)) fail(word)
        at += word.length
        return value
    }

    private fun expect(char: Char) {
        if (peek() != char) fail("'$char'")
        at++
    }

    /** The next character that is no space, or null. */
    private fun peek(): Char? {
        while (at < text.length && text[at] in " \t\r\n") at++
        return text.getOrNull(at)
    }

    private fun fail(expected: String): Nothing = throw ModelError("No JSON: expected $expected at character $at.")
}
