package io.github.keras_resnet.demo

import io.github.keras_resnet.core.Golden
import io.github.keras_resnet.core.Model
import io.github.keras_resnet.core.Picture
import io.github.keras_resnet.core.Pipeline
import io.github.keras_resnet.core.SelfCheck
import io.github.keras_resnet.core.SelfCheckResult
import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.tensorflow.lite.Delegate
import org.tensorflow.lite.Interpreter

/** Android's own x86_64 library of the APK, loaded into this JVM, replays the golden pictures. */
@RunWith(RobolectricTestRunner::class)
class LiteRtTest {
    private val application = RuntimeEnvironment.getApplication()
    private val store = ModelStore(application.assets)

    @Test
    fun `with XNNPACK, as in Python, every byte in and out is identical`() {
        System.loadLibrary("bionic")
        for (name in listOf(Phone.DIGITS, Phone.CIFAR)) {
            val options = Interpreter.Options().addDelegate(Delegate { createXnnpack() })
            Interpreter(store.content(name), options).use { interpreter ->
                val result = check(name) { model, input -> run(interpreter, model, input) }
                assertEquals(name, "16/16 identical", result.text)
            }
        }
    }

    @Test
    fun `with what the app takes, outputs stay within a step`() {
        for (name in listOf(Phone.DIGITS, Phone.CIFAR)) {
            val model = Model.read(store.content(name), name)
            Engine(store.content(name), model, Processor(Accelerator.CPU, 2), application.resources).use { engine ->
                for (golden in Phone.golden(name)) {
                    val input = ByteBuffer.allocateDirect(golden.input.size)
                    input.put(golden.input).rewind()
                    val output = engine.run(input)
                    val steps = output.indices.maxOf { Math.abs(number(output[it]) - number(golden.output[it])) }
                    assertTrue("$name: $steps steps", steps <= 1)
                }
            }
        }
    }

    private fun number(byte: Byte) = byte.toInt() and 255

    private fun check(name: String, run: (Model, ByteBuffer) -> ByteArray): SelfCheckResult {
        val model = Model.read(store.content(name), name)
        val decode = { png: ByteArray, to: Picture -> PictureFile(png).copyTo(to) }
        return SelfCheck.run(Pipeline(model), Golden.read(store.golden(name)!!, model), decode) { run(model, it) }
    }

    private fun run(interpreter: Interpreter, model: Model, input: ByteBuffer): ByteArray {
        val output = ByteBuffer.allocateDirect(model.output.bytes).order(ByteOrder.nativeOrder())
        interpreter.run(input, output)
        output.rewind()
        return ByteArray(model.output.bytes).also(output::get)
    }

    /** In tools/jvm/bionic.c: Java has no way to it. */
    private external fun createXnnpack(): Long
}
