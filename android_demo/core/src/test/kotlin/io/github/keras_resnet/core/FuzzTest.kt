package io.github.keras_resnet.core

import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.Random
import org.junit.Assert.assertTrue
import org.junit.Test

/** Mutated contracts, golden sets and vectors are read, or refused with a sentence; nothing else, and quickly. */
class FuzzTest {
    private val digits = Bundled.all.single { it.name == "digits-resnet8" }

    private val contracts = Bundled.all.map {
        readAppendedFiles(ByteBuffer.wrap(it.content).order(ByteOrder.LITTLE_ENDIAN)).getValue("contract.json")
    } + Vector.all("contracts").filterNot { it.isNull("read") }.map { it.text("text") } + listOf(
        """{"version": 2, "input": {"kind": "picture", "height": 32, "width": 32, "channels": 3}, "output":
            {"kind": "boxes", "labels": ["a"], "levels": [[4, 4, 8], [2, 2, 16]], "threshold": 0.3, "most": 9}}""",
        """{"version": 2, "input": {"kind": "picture", "height": 32, "width": 32, "channels": 3}, "output":
            {"kind": "mask", "labels": ["a", "b"], "size": [4, 4], "colours": [[0, 0, 0], [1, 2, 3]]}}""",
    )

    @Test
    fun `contracts`() = fuzz(contracts) { text ->
        readContract(text).let { it.input.shape to it.output.shapes }
    }

    @Test
    fun `golden sets`() {
        val golden = parseJson(digits.goldenText) as Map<*, *>
        val one = ((golden["pictures"] as List<*>)[0] as Map<*, *>).entries.joinToString(", ") { (key, value) ->
            "\"$key\": " + if (value is String) "\"$value\"" else "$value"
        }
        fuzz(listOf("{\"pictures\": [{$one}]}")) { Golden.read(it, digits.model) }
    }

    @Test
    fun `vectors`() = fuzz(listOf(Vector::class.java.getResource("/contracts.json")!!.readText().take(2000), "[1e5, {\"a\": null}]")) {
        parseJson(it)
    }

    private fun fuzz(seeds: List<String>, read: (String) -> Any?) {
        var (taken, refused) = 0 to 0
        for (turn in 0 until TURNS) {
            val text = mutated(seeds[turn % seeds.size], Random(turn.toLong()))
            val began = System.nanoTime()
            try {
                read(text)
                taken++
            } catch (error: ModelError) {
                refused++
            } catch (error: Throwable) {
                throw AssertionError("input $turn: ${text.take(2000)}", error)
            }
            assertTrue("input $turn", System.nanoTime() - began < 5_000_000_000)
        }
        assertTrue("$taken read, $refused refused", refused > TURNS / 10)
    }

    /** A text some of whose values, names or brackets are others, or that is cut. */
    private fun mutated(text: String, random: Random): String {
        val made = StringBuilder(text)
        repeat(1 + random.nextInt(3)) {
            val parts = PART.findAll(made).map { it.range }.toList()
            if (parts.isEmpty()) return made.toString()
            val part = parts[random.nextInt(parts.size)]
            when (random.nextInt(6)) {
                0 -> made.setLength(part.first)
                1 -> made.insert(part.first, made.substring(part.first, minOf(made.length, part.first + random.nextInt(99))))
                2 -> made.setCharAt(part.first, random.nextInt(0x10000).toChar())
                else -> made.replace(part.first, part.last + 1, ODD[random.nextInt(ODD.size)])
            }
        }
        return made.toString()
    }

    private companion object {
        val TURNS = (System.getenv("FUZZ_TURNS") ?: "1000").toInt()
        val PART = Regex("-?[0-9][0-9.e+-]*|\"[^\"]*\"|[\\[\\]{},:]|true|false|null")
        val ODD = listOf(
            "0", "-1", "2147483648", "65536", "1e9", "1e308", "1e999", "-0.5", "NaN", "null", "true", "\"\"", "\"\\ud800\"", "[]", "{}",
            "[[]]", "\"a\"", "", "[1000000, 1000000, 1]", "[".repeat(50_000), "9".repeat(5000), "\"picture\"", "\"sound\"", "\"boxes\"",
        )
    }
}
