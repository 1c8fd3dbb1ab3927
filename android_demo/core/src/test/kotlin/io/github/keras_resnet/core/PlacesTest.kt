package io.github.keras_resnet.core

import java.nio.ByteBuffer
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

class PlacesTest {
    private val none = Tensor(listOf(1, 0), DataType.FLOAT32, 1f, 0)

    private fun pipeline(vector: Vector): Pipeline {
        val contract = readContract(vector.text("contract"))
        val outputs = contract.output.shapes.map { Tensor(listOf(1) + it, DataType.FLOAT32, 1f, 0) }
        return Pipeline(Model("m", contract, none, outputs, emptyList()))
    }

    @Test
    fun `boxes and masks are Python's, on pictures of any size`() {
        var boxes = 0
        for (vector in Vector.all("places")) {
            val pipeline = pipeline(vector)
            val rules = pipeline.model.contract.output
            val bytes = vector.bytes("bytes")
            for (answer in vector.list("answers").map(::Vector)) {
                val rows = answer.list("rows").map { it as List<*> }
                val (height, width) = listOf(answer.int("height"), answer.int("width"))
                if (rules is Boxes) {
                    val found = pipeline.boxes(bytes, height, width)
                    assertEquals("$vector", rows.map { it[0] }, found.map { rules.labels[it.label] })
                    rows.zip(found).forEach { (row, box) ->
                        val made = listOf(box.probability, box.left, box.top, box.right, box.bottom)
                        row.drop(1).zip(made).forEach { (a, b) -> assertEquals(a as Double, b.toDouble(), 1e-3) }
                    }
                    assertEquals(rows.take(3).map { it[0] }, pipeline.answers(bytes, 3).map { it.label })
                    boxes += found.size
                } else {
                    val mask = pipeline.mask(bytes, height, width)
                    assertEquals("$height x $width", answer.text("sha256"), sha256(mask))
                    val parts = pipeline.answers(bytes, rows.size, pipeline.places(bytes, height, width))
                    assertEquals(rows.map { it[0] }, parts.map { it.label })
                    rows.zip(parts).forEach { (row, part) -> assertEquals(row[1] as Double, part.probability, 1e-6) }
                }
            }
        }
        assertTrue("$boxes", boxes > 40)
    }

    @Test
    fun `files of boxes and of masks are read, replayed and understood`() {
        for (name in listOf("detector", "segmenter")) {
            val content = javaClass.getResource("/models/$name.tflite")!!.readBytes()
            val json = javaClass.getResource("/models/$name.golden.json")!!.readText()
            val model = Model.read(ByteBuffer.wrap(content), name)
            assertEquals(emptyList<String>(), model.warnings)
            val golden = Golden.read(json, model)
            val pipeline = Pipeline(model)
            val outputs = golden.examples.associate { it.input.toList() to it.output }
            val result = SelfCheck.run(pipeline, golden, ::decodePng) { input ->
                outputs.getValue(ByteArray(input.remaining()) { input.get(it) }.toList())
            }
            assertEquals("4/4 identical", result.text)
            val saved = (parseJson(json) as Map<*, *>)["pictures"] as List<*>
            saved.map(::Vector).zip(golden.examples).forEach { (picture, it) ->
                val answer = picture.vector("answer")
                if (name == "segmenter") {
                    assertEquals(answer.text("sha256"), sha256(pipeline.mask(it.output, 32, 48)))
                } else {
                    assertEquals(2, model.outputs.map { tensor -> tensor.place }.toSet().size)
                    val found = pipeline.boxes(it.output, 32, 48)
                    assertTrue(found.size > 3)
                    answer.list("boxes").map(::Vector).zip(found).forEach { (row, box) ->
                        assertEquals(row.text("label"), model.contract.output.labels[box.label])
                        assertEquals(row.number("probability"), box.probability, 1e-6)
                        assertEquals(row.number("left"), box.left.toDouble(), 0.011)
                        assertEquals(row.number("bottom"), box.bottom.toDouble(), 0.011)
                    }
                    assertEquals(answer.list("boxes").size, found.size)
                }
            }
        }
    }

    @Test
    fun `a file whose network lacks an output is refused`() {
        val content = javaClass.getResource("/models/segmenter.tflite")!!.readBytes()
        val boxes = javaClass.getResource("/models/detector.tflite")!!.readBytes()
        val network = content.copyOf(zipStart(content)) + boxes.copyOfRange(zipStart(boxes), boxes.size)
        val error = assertThrows(ModelError::class.java) { Model.read(ByteBuffer.wrap(network), "m") }
        assertEquals("The contract in m wants an output location; its network has none.", error.message)
    }

    private fun zipStart(content: ByteArray) =
        content.indices.first { i -> "PK\u0003\u0004".indices.all { content[i + it] == "PK\u0003\u0004"[it].code.toByte() } }

    @Test
    fun `answers of a mask are the largest parts of it`() {
        val vector = Vector.all("places").first { pipeline(it).model.contract.output is Mask }
        val answers = pipeline(vector).answers(vector.bytes("bytes"), 2)
        assertEquals(2, answers.size)
        assertTrue(answers[0].probability >= answers[1].probability && answers.sumOf { it.probability } <= 1.0)
    }

    @Test
    fun `numbers that are none are refused`() {
        for (vector in Vector.all("places")) {
            val bytes = vector.bytes("bytes")
            for (i in 0..3) bytes[i] = -1 // NaN
            assertThrows(ModelError::class.java) { pipeline(vector).answers(bytes) }
        }
    }

    @Test
    fun `what no boxes and no mask can be is refused`() {
        for (make in listOf<() -> Output>(
            { Boxes(listOf("a"), emptyList()) },
            { Boxes(listOf("a"), listOf(Level(0, 1, 8))) },
            { Boxes(listOf("a"), listOf(Level(1, 1, 8)), threshold = Double.NaN) },
            { Boxes(listOf("a"), listOf(Level(1, 1, 8)), overlap = 1.5) },
            { Mask(listOf("a"), 0, 1, listOf(0)) },
            { Mask(listOf("a"), 1, 1, emptyList()) },
            { Mask(emptyList(), 1, 1, emptyList()) },
        )) {
            assertThrows(ModelError::class.java) { make() }
        }
    }
}
