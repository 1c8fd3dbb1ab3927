package io.github.keras_resnet.core

import java.nio.ByteBuffer
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

/** Files of recordings and of texts. */
class InputsTest {
    private fun model(name: String) = Model.read(ByteBuffer.wrap(javaClass.getResource("/models/$name.tflite")!!.readBytes()), name)

    private fun golden(name: String) = javaClass.getResource("/models/$name.golden.json")!!.readText()

    @Test
    fun `files of sounds and of texts are read, replayed and understood`() {
        for (name in listOf("hearer", "reader")) {
            val model = model(name)
            assertEquals(emptyList<String>(), model.warnings)
            val golden = Golden.read(golden(name), model)
            val pipeline = Pipeline(model)
            val outputs = golden.examples.associate { it.input.toList() to it.output }
            val result = SelfCheck.run(pipeline, golden, { _, _ -> throw AssertionError("no picture") }) { input ->
                outputs.getValue(ByteArray(input.remaining()) { input.get(it) }.toList())
            }
            assertEquals(name, "4/4 identical", result.text)
            val answers = golden.examples.map { pipeline.answers(it.output, 1)[0].label }.toSet()
            assertTrue("$name $answers", answers.size > 1)
        }
    }

    @Test
    fun `what a model does not take is said`() {
        val hearer = Pipeline(model("hearer"))
        val reader = Pipeline(model("reader"))
        val error = assertThrows(SoundError::class.java) { hearer.input(Recording(16000, DoubleArray(10))) }
        assertEquals("It has 16000 samples a second; this model hears 8000.", error.message)
        assertThrows(ModelError::class.java) { hearer.input("text") }
        assertThrows(ModelError::class.java) { reader.input(Recording(8000, DoubleArray(10))) }
        assertThrows(ModelError::class.java) { reader.input(Picture()) }
        assertThrows(ModelError::class.java) { Golden.read(golden("reader"), model("hearer")) }
        assertThrows(ModelError::class.java) { Golden.read(golden("hearer"), model("detector")) }
    }

    @Test
    fun `contracts that can't be are refused`() {
        val sound = """"kind": "sound", "rate": 8000, "seconds": 0.25, "window": 256, "hop": 128, "bands": 16, "lowest": 60,
            "highest": 4000, "quiet": -90, "loud": -10"""
        val classes = """"output": {"kind": "classes", "labels": ["a", "b"], "scores": "logits"}"""
        fun read(input: String) = readContract("""{"version": 2, "input": {$input}, $classes}""")
        assertEquals(listOf(14, 16, 1), read(sound).input.shape)
        assertEquals(listOf(1, 2000, 1), read(sound.replace("\"bands\": 16", "\"bands\": 0")).input.shape)
        for ((part, other) in listOf("8000" to "0", "256" to "9999999", "-90" to "0", "0.25" to "1e9", "128" to "1.5", "-10" to "null", "4000" to "4001", "60" to "5000")) {
            assertThrows("$other", ModelError::class.java) { read(sound.replace(part, other)) }
        }
        val text = """"kind": "text", "vocabulary": ["a", "b"], "length": 5, "pairs": 0, "pieces": 0"""
        assertEquals(listOf(5, 1), read(text).input.shape)
        for ((part, other) in listOf("5" to "0", "\"b\"" to "1", "\"pairs\": 0" to "\"pairs\": -1", "[\"a\", \"b\"]" to "7", "\"b\"" to "\"a\"", "\"b\"" to "\"\"")) {
            assertThrows("$other", ModelError::class.java) { read(text.replace(part, other)) }
        }
        assertThrows(ModelError::class.java) { read(sound).picture }
    }
}
