package io.github.keras_resnet.core

import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test

class TextTest {
    @Test
    fun `tokens and numbers are Python's, in many scripts`() {
        val cases = Vector.all("texts")
        for (case in cases) {
            assertEquals("$case", case.list("tokens"), tokens(case.text("text")))
            val text = TextInput(case.list("vocabulary").map { it as String }, case.int("length"), case.int("pairs"), case.int("pieces"))
            assertEquals(case.ints("shape"), text.shape)
            assertEquals("$case", case.ints("ids"), text.ids(case.text("text")).toList())
        }
        assertTrue(cases.size > 20)
    }
}
