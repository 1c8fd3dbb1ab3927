package io.github.keras_resnet.core

import java.io.ByteArrayOutputStream
import java.nio.ByteBuffer
import java.util.Random
import java.util.zip.ZipEntry
import java.util.zip.ZipOutputStream
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

class ModelTest {
    private val digits = Bundled.all.single { it.name == "digits-resnet8" }
    private val texts = readAppendedFiles(ByteBuffer.wrap(digits.content).order(java.nio.ByteOrder.LITTLE_ENDIAN))
    private val network = digits.content.copyOf(zipStart(digits.content))

    @Test
    fun `contract and tensors of our own files`() {
        val model = digits.model
        assertTrue(model.name, model.name.startsWith("resnet8 (int8-"))
        assertEquals(emptyList<String>(), model.warnings)
        assertEquals(List(10) { "$it" }, model.contract.output.labels)
        assertEquals(listOf(32, 32, 3), model.contract.input.shape)
        assertEquals(listOf(1, 32, 32, 3), model.input.shape)
        assertEquals(DataType.UINT8, model.input.type)
        assertEquals(1 / 128f, model.input.scale, 0f)
        assertEquals(128, model.input.zeroPoint)
        assertEquals(listOf(1, 10), model.output.shape)
        assertTrue(model.output.scale > 0.01f && model.output.zeroPoint in 1..254)
        assertEquals("airplane", Bundled.all.single { it.name == "cifar10-jpeg-resnet20" }.model.contract.output.labels[0])
    }

    @Test
    fun `the buffer may begin anywhere in a larger one and is left as it was`() {
        val padded = ByteBuffer.wrap(ByteArray(13) + digits.content)
        padded.position(13)
        assertEquals(10, Model.read(padded, "m").contract.output.labels.size)
        assertEquals(13, padded.position())
    }

    @Test
    fun `without our contract the standard's labels and scale count`() {
        val model = read(network + zip("labels.txt" to texts.getValue("labels.txt")))
        assertEquals(List(10) { "$it" }, model.contract.output.labels)
        assertArrayEquals(floatArrayOf(128f), model.contract.picture.mean, 0f)
        assertArrayEquals(floatArrayOf(128f), model.contract.picture.std, 0f)
        assertEquals(1.0, model.contract.picture.cropFraction, 0.0)
        assertEquals(emptyList<String>(), model.warnings)
    }

    @Test
    fun `what is in neither is said`() {
        val withoutLabels = read(network)
        assertArrayEquals(floatArrayOf(128f), withoutLabels.contract.picture.mean, 0f)
        assertEquals(listOf("m has 0 labels for 10 classes; numbers stand for classes."), withoutLabels.warnings)

        val bare = read(bare())
        assertEquals("m", bare.name)
        assertArrayEquals(floatArrayOf(128f), bare.contract.picture.std, 0f)
        assertEquals(List(10) { "$it" }, bare.contract.output.labels)
        assertEquals(
            "m says nothing of its scale; its 256 steps are taken for the pixels 0 to 255.", bare.warnings[0],
        )
        assertEquals(2, bare.warnings.size)
    }

    private fun bare() = replaced(network, "TFLITE_METADATA", "OTHER__METADATA")

    /** A file that says nothing of its scale, with another input. */
    private fun bare(type: Int, scale: Float, zero: Long): ByteArray {
        val content = ByteBuffer.wrap(bare()).order(java.nio.ByteOrder.LITTLE_ENDIAN)
        val graph = FlatTable.root(content).tables(2)[0]
        val input = graph.tables(0)[graph.ints(1)[0]]
        content.put(input.at(1)!!, type.toByte())
        val quantization = input.table(4)!!
        fun first(slot: Int) = quantization.at(slot)!!.let { it + content.getInt(it) + 4 }
        content.putFloat(first(2), scale)
        content.putLong(first(3), zero)
        return content.array()
    }

    @Test
    fun `an 8-bit input shows what a pixel is, as Python takes it`() {
        val types = mapOf("float32" to 0, "uint8" to 3, "int8" to 9)
        for (vector in Vector.all("shown")) {
            val zero = vector.int("zero")
            val model = read(bare(types.getValue(vector.text("type")), vector.number("scale").toFloat(), zero.toLong()))
            assertArrayEquals("$vector", vector.floats("mean"), model.contract.picture.mean, 0f)
            assertEquals("$vector", vector.number("std"), model.contract.picture.std[0].toDouble(), 1e-6 * vector.number("std"))
            if (model.input.type == DataType.FLOAT32) {
                assertEquals("m says nothing of its scale; taking x = pixel / 127.5 - 1.", model.warnings[0])
                continue
            }
            // Each pixel is the step of its number.
            val pixels = ByteArray(32 * 32 * 3) { it.toByte() }
            val bytes = Quantization(model.contract, model.input, model.output).toInput(pixels)
            for (i in pixels.indices) assertEquals("$vector", (pixels[i] + model.input.type.lowest).toByte(), bytes.get(i))
        }
    }

    @Test
    fun `an input without a scale takes pixels as they are, and one with an impossible scale is refused`() {
        val model = read(bare(3, 0f, 7))
        assertEquals(1f to 0, model.input.scale to model.input.zeroPoint)
        assertArrayEquals(floatArrayOf(0f), model.contract.picture.mean, 0f)
        for (scale in listOf(-1f, Float.NaN, Float.POSITIVE_INFINITY)) {
            val error = assertThrows(ModelError::class.java) { read(bare(3, scale, 7)) }
            assertEquals("m has a tensor of scale $scale.", error.message)
        }
    }

    @Test
    fun `a network of two inputs is refused`() {
        val content = ByteBuffer.wrap(bare()).order(java.nio.ByteOrder.LITTLE_ENDIAN)
        val inputs = FlatTable.root(content).tables(2)[0].at(1)!!
        content.putInt(inputs + content.getInt(inputs), 2)
        val error = assertThrows(ModelError::class.java) { read(content.array()) }
        assertEquals("m takes 2 inputs; expected one picture, recording or text.", error.message)
    }

    @Test
    fun `labels are read as Python reads them`() {
        for (vector in Vector.all("labels")) {
            assertEquals(vector.list("labels"), readLabels(vector.text("text")))
        }
    }

    @Test
    fun `labels count only if they are as many as the classes`() {
        for (count in listOf(9, 11)) {
            val model = read(network + zip("labels.txt" to List(count) { "name $it" }.joinToString("\n")))
            assertEquals(List(10) { "$it" }, model.contract.output.labels)
            assertEquals(
                listOf("m has $count labels for 10 classes; numbers stand for classes."), model.warnings,
            )
        }
        val two = zip("notes" to "a", "first.txt" to "abcdefghij".toList().joinToString("\n"), "b.txt" to "b")
        assertEquals("a", read(network + two).contract.output.labels[0])
    }

    @Test
    fun `a contract is read as Python reads it, or refused by both`() {
        val vectors = Vector.all("contracts")
        for (vector in vectors) {
            val content = network + zip("contract.json" to vector.text("text"))
            if (vector.isNull("read")) {
                assertThrows(vector.text("text"), ModelError::class.java) { read(content) }
                continue
            }
            val expected = vector.vector("read")
            val contract = read(content).contract
            assertEquals(vector.text("text"), expected.list("labels"), contract.output.labels)
            assertEquals(expected.number("crop_fraction"), contract.picture.cropFraction, 0.0)
            assertArrayEquals(threeOf(expected.floats("mean")), threeOf(contract.picture.mean), 0f)
            assertArrayEquals(threeOf(expected.floats("std")), threeOf(contract.picture.std), 0f)
            assertEquals(expected.text("scores") == "logits", contract.output.isLogits)
            assertEquals(vector.text("text"), "thresholds" in expected, contract.output is Labels)
            (contract.output as? Labels)?.let { assertEquals(expected.list("thresholds"), it.thresholds) }
        }
        assertTrue(vectors.count { it.isNull("read") } in 10..vectors.size - 10)
    }

    private fun threeOf(values: FloatArray) = FloatArray(3) { values[if (values.size == 1) 0 else it] }

    @Test
    fun `a contract of tomorrow, or a broken one, is refused with a sentence`() {
        val saved = """{"version": 2, "input": {"kind": "picture", "height": 32, "width": 32, "channels": 3},
            "output": {"kind": "classes"}}"""
        val newer = "a newer app may know it."
        for ((today, tomorrow, sentence) in listOf(
            Triple("2,", "4,", "version 4.0; known are 1 to 3; $newer"),
            Triple("2,", "\"2\",", "version 2; known are 1 to 3; $newer"),
            Triple("picture", "smell", "input smell; known are picture, sound, text; $newer"),
            Triple("classes", "words", "output words; known are classes, labels, boxes, mask; $newer"),
            Triple("\"classes\"", "\"boxes\", \"labels\": [\"a\"]", "levels; expected rows, columns and stride of at least one."),
            Triple("\"classes\"", "\"mask\", \"labels\": [\"a\"]", "a size of 0 numbers; expected rows and columns."),
            Triple("32,", "32.5,", "height 32.5; expected a whole number."),
            Triple("kind", "kinds", "input null; known are picture, sound, text; $newer"),
            Triple("none", "none", "no list of labels."),
            labelled("0.5", "thresholds 0.5; expected a list of numbers."),
            labelled("[0.5]", "1 thresholds for 2 labels, or not all between 0 and 1."),
            labelled("[0.5, 1]", "2 thresholds for 2 labels, or not all between 0 and 1."),
        )) {
            val json = saved.replaceFirst(today, tomorrow)
            val error = assertThrows(json, ModelError::class.java) { read(network + zip("contract.json" to json)) }
            assertEquals("The contract in m can't be used: $sentence", error.message)
        }
    }

    private fun labelled(thresholds: String, sentence: String) =
        Triple("\"classes\"", "\"labels\", \"labels\": [\"a\", \"b\"], \"thresholds\": $thresholds", sentence)

    @Test
    fun `brackets without end are a sentence`() {
        val unusable = "The contract in m can't be used:"
        val deep = "[".repeat(100_000)
        for (json in listOf(deep, "{\"a\":".repeat(100_000), "{\"labels\": $deep")) {
            val error = assertThrows(ModelError::class.java) { read(network + zip("contract.json" to json)) }
            assertTrue(error.message, error.message!!.startsWith("$unusable No JSON: expected at most 100 levels at character "))
        }
        assertEquals(List(1000) { emptyList<Any>() }, parseJson("[" + List(1000) { "[]" }.joinToString(",") + "]"))
        for (json in listOf("[1,]", "[,]", "[1", "{\"a\"}", "\"\\u-123\"", "\"\\u12\"", "\"\\u", "1 2", "01", "1.", "-", "\"\n\"")) {
            assertThrows(json, ModelError::class.java) { parseJson(json) }
        }
    }

    @Test
    fun `a zip that would fill the memory is refused`() {
        val bomb = zip("labels.txt" to "a\u0000".repeat(100_000_000)) // 200 MB in 200 kB
        assertTrue("${bomb.size}", bomb.size < 400_000)
        val error = assertThrows(ModelError::class.java) { read(network + bomb) }
        assertEquals("The zip behind the model can't be used (it holds more than 16777216 bytes).", error.message)
        val many = zip(*Array(5) { "$it.txt" to "a".repeat(4_000_000) })
        assertThrows(ModelError::class.java) { read(network + many) }
    }

    @Test
    fun `a zip that is damaged is refused`() {
        val right = zip("labels.txt" to "a", "contract.json" to texts.getValue("contract.json"))
        assertEquals(emptyList<String>(), read(network + right).warnings)
        val second = String(right, Charsets.ISO_8859_1).indexOf("PK\u0003\u0004", 4)
        val directory = String(right, Charsets.ISO_8859_1).indexOf("PK\u0001\u0002")
        for (place in listOf(second, directory, directory + 42, 40)) {
            val damaged = right.clone().also { it[place] = (it[place] + 1).toByte() }
            val error = assertThrows("$place", ModelError::class.java) { read(network + damaged) }
            assertTrue(error.message, error.message!!.startsWith("The zip behind the model can't be used ("))
        }
    }

    @Test
    fun `a vector that would not end within the file is refused`() {
        val content = ByteBuffer.wrap(bare()).order(java.nio.ByteOrder.LITTLE_ENDIAN)
        val tensors = FlatTable.root(content).tables(2)[0].at(0)!!
        val vector = tensors + content.getInt(tensors)
        content.putInt(vector, (content.limit() - vector) / 4)
        assertThrows(ModelError::class.java) { read(content.array()) }
    }

    @Test
    fun `without our contract a softmax at the end means probabilities`() {
        assertEquals(true, read(network).contract.output.isLogits)
        val content = ByteBuffer.wrap(network.clone()).order(java.nio.ByteOrder.LITTLE_ENDIAN)
        // The last operators are FULLY_CONNECTED and QUANTIZE.
        val last = FlatTable.root(content).tables(1).single { it.byte(0) == 9 }
        content.put(last.at(0)!!, 25)
        last.at(3)?.let { content.putInt(it, 25) }
        assertEquals(false, read(content.array()).contract.output.isLogits)
        val json = texts.getValue("contract.json")
        assertEquals(true, read(content.array() + zip("contract.json" to json)).contract.output.isLogits)
    }

    @Test
    fun `a contract may name scale, crop and probabilities`() {
        val json = """{"height": 32, "width": 32, "channels": 3, "labels": ["\u00e4", "b", "c", "d", "e", "f", "g", "h",
            "i", "j\n"], "crop_fraction": 0.875, "mean": [1, 2.5, -3e1], "std": 64, "output": "probabilities"}"""
        val contract = read(network + zip("contract.json" to json)).contract
        assertEquals("ä", contract.output.labels[0])
        assertEquals("j\n", contract.output.labels[9])
        assertEquals(0.875, contract.picture.cropFraction, 0.0)
        assertArrayEquals(floatArrayOf(1f, 2.5f, -30f), contract.picture.mean, 0f)
        assertArrayEquals(floatArrayOf(64f), contract.picture.std, 0f)
        assertEquals(false, contract.output.isLogits)
    }

    @Test
    fun `a contract of another network is refused`() {
        val json = texts.getValue("contract.json").replace("\"height\": 32", "\"height\": 64")
        val error = assertThrows(ModelError::class.java) { read(network + zip("contract.json" to json)) }
        assertEquals(
            "The contract in m is of an input [64, 32, 3] with 10 labels; its network expects [32, 32, 3] and 10 labels.",
            error.message,
        )
    }

    @Test
    fun `a contract that can't be kept is refused`() {
        for ((right, wrong) in listOf(
            "\"crop_fraction\": 1.0" to "\"crop_fraction\": 0",
            "\"mean\": 128.0" to "\"mean\": [1, 2]",
            "\"std\": 128.0" to "\"std\": [1, 0, 1]",
            "\"std\": 128.0" to "\"std\": []",
        )) {
            val json = texts.getValue("contract.json").replace(right, wrong)
            assertTrue(json, wrong in json)
            assertThrows(json, ModelError::class.java) { read(network + zip("contract.json" to json)) }
        }
    }

    @Test
    fun `what is no model is refused with a sentence`() {
        for (content in listOf("", "TFL3", "no model at all", "\u0000\u0000\u0000\u0000TFL3")) {
            val error = assertThrows(ModelError::class.java) { read(content.toByteArray()) }
            assertTrue(error.message, error.message!!.matches(Regex("m (is no .tflite|holds no network).*")))
        }
    }

    @Test
    fun `a broken file never ends in another error`() {
        val random = Random(0)
        var refused = 0
        for (turn in 0 until 3000) {
            val content = if (turn % 2 == 0) digits.content.clone() else network.copyOf(random.nextInt(network.size))
            // Most of what is read lies at both ends.
            repeat(20) {
                val place = random.nextInt(minOf(4000, content.size + 1))
                val i = if (random.nextBoolean()) place else content.size - 1 - place
                if (i in content.indices) content[i] = random.nextInt(256).toByte()
            }
            try {
                Pipeline(read(content))
            } catch (error: ModelError) {
                refused++
            }
        }
        assertTrue("$refused", refused in 1500..2999)
    }

    private fun read(content: ByteArray) = Model.read(ByteBuffer.wrap(content), "m")

    private fun zipStart(content: ByteArray) =
        content.indices.first { i -> "PK\u0003\u0004".indices.all { content[i + it] == "PK\u0003\u0004"[it].code.toByte() } }

    /** A zip whose offsets count from its own first byte, deflated. */
    private fun zip(vararg files: Pair<String, String>): ByteArray {
        val bytes = ByteArrayOutputStream()
        ZipOutputStream(bytes).use { zip ->
            for ((name, text) in files) {
                zip.putNextEntry(ZipEntry(name))
                zip.write(text.toByteArray())
            }
        }
        return bytes.toByteArray()
    }

    private fun replaced(content: ByteArray, old: String, new: String): ByteArray {
        val text = String(content, Charsets.ISO_8859_1)
        assertEquals(1, text.split(old).size - 1)
        return text.replace(old, new).toByteArray(Charsets.ISO_8859_1)
    }
}
