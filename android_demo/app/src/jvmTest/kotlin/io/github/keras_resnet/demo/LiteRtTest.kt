package io.github.keras_resnet.demo

import io.github.keras_resnet.core.Golden
import io.github.keras_resnet.core.Model
import io.github.keras_resnet.core.Pipeline
import io.github.keras_resnet.core.SelfCheck
import org.junit.Assert.assertEquals
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment

/** Android's own x86_64 library of the APK, loaded into this JVM, replays the golden pictures. */
@RunWith(RobolectricTestRunner::class)
class LiteRtTest {
    private val application = RuntimeEnvironment.getApplication()
    private val store = ModelStore(application.assets)

    @Test
    fun `every byte in and out is Python's, on one thread and on several`() {
        for (name in listOf(Phone.DIGITS, Phone.CIFAR)) {
            val model = Model.read(store.content(name), name)
            val golden = Golden.read(store.golden(name)!!, model)
            for (threads in listOf(1, 4)) {
                val processor = Processor(Accelerator.CPU, threads)
                Engine(store.content(name), model, processor, application.resources).use { engine ->
                    val result = SelfCheck.run(Pipeline(model), golden, { png, to -> PictureFile(png).copyTo(to) }) {
                        engine.run(it)
                    }
                    assertEquals("$name, $threads threads", "16/16 identical", result.text)
                }
            }
        }
    }
}
