package io.github.keras_resnet.demo

import android.Manifest
import android.view.View
import android.widget.EditText
import io.github.keras_resnet.core.Model
import io.github.keras_resnet.core.Pipeline
import io.github.keras_resnet.core.Recording
import io.github.keras_resnet.core.SoundInput
import io.github.keras_resnet.core.TextInput
import kotlin.math.roundToInt
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.shadows.ShadowAudioRecord

/** Models of sounds and of texts: what the screen offers, and that the phone answers as Python does. */
@RunWith(RobolectricTestRunner::class)
class InputsTest {
    private val application = RuntimeEnvironment.getApplication()

    private fun model(name: String) = ModelStore(application.assets).let { Model.read(it.content(name), name) }

    @After
    fun silence() = ShadowAudioRecord.clearSource()

    private fun open(phone: Phone, name: String) {
        phone.choose(R.id.models, name)
        phone.await(R.id.status) { it.startsWith(name) }
    }

    private fun checkItself(phone: Phone) {
        phone.tap(R.id.check_button)
        val text = phone.await(R.id.check) { it.contains("identical") }
        assertEquals("Self-check on CPU, 2 threads: 4/4 identical", text)
    }

    @Test
    fun `a second is recorded and answered`() {
        val golden = Phone.golden("hearer")[2] // longer than is heard: the microphone gives its middle
        val model = model("hearer")
        val heard = (model.contract.input as SoundInput).samples
        val samples = Recording.read(golden.file).samples.let { it.copyOfRange((it.size - heard) / 2, (it.size - heard) / 2 + heard) }
        var place = 0
        val source = object : ShadowAudioRecord.AudioRecordSource {
            override fun readInShortArray(data: ShortArray, offset: Int, size: Int, isBlocking: Boolean): Int {
                val count = minOf(size, 100, samples.size - place)
                for (i in 0 until count) data[offset + i] = (samples[place + i] * 32768).roundToInt().toShort()
                place += count
                return count
            }
        }
        ShadowAudioRecord.setSourceProvider { source }
        Phone().use { phone ->
            open(phone, "hearer")
            assertTrue(phone.text(R.id.status), phone.text(R.id.status).contains("0.3 s at 8000 Hz"))
            val views = listOf(R.id.record_button, R.id.shown, R.id.camera_button, R.id.picture_button, R.id.text)
            assertEquals(listOf(View.VISIBLE) + List(4) { View.GONE }, views.map { phone.view(it).visibility })
            phone.tap(R.id.record_button)
            val asked = shadowOf(phone.activity).lastRequestedPermission
            assertEquals(listOf(Manifest.permission.RECORD_AUDIO), asked.requestedPermissions.toList())
            phone.activity.onRequestPermissionsResult(3, asked.requestedPermissions, intArrayOf(-1))
            assertTrue(phone.text(R.id.message), phone.text(R.id.message).startsWith("The microphone is not allowed."))
            shadowOf(application).grantPermissions(Manifest.permission.RECORD_AUDIO)
            phone.tap(R.id.record_button)
            val said = phone.await({ phone.described(R.id.bars) }) { it.contains("percent") }
            assertEquals(Pipeline(model).answers(golden.output, 1)[0].label, said.substringBefore(","))
            assertEquals("", phone.text(R.id.message))
            checkItself(phone)
            phone.draw("sound")
            place = samples.size // nothing comes any more
            phone.tap(R.id.record_button)
            phone.await(R.id.message) { it == "Nothing was heard: the microphone stopped (0)" }
        }
    }

    @Test
    fun `a sentence is answered as it is typed, and a picture's model again after it`() {
        val golden = Phone.golden("reader")
        val pipeline = Pipeline(model("reader"))
        Phone().use { phone ->
            open(phone, "reader")
            assertTrue(phone.text(R.id.status), phone.text(R.id.status).contains("12 words and marks"))
            assertEquals(View.VISIBLE, phone.view(R.id.text).visibility)
            assertEquals(View.GONE, phone.view(R.id.shown).visibility)
            for (example in golden) {
                val best = pipeline.answers(example.output, 1)[0]
                val expected = "${best.label}, ${(100 * best.probability).roundToInt()} percent"
                (phone.view(R.id.text) as EditText).setText(TextInput.read(example.file))
                phone.await({ phone.described(R.id.bars) }) { it.startsWith(expected) }
            }
            (phone.view(R.id.text) as EditText).setText(TextInput.read(golden[0].file))
            checkItself(phone)
            phone.draw("text")
            phone.choose(R.id.models, Phone.DIGITS)
            phone.await(R.id.status) { it.contains("32 × 32") }
            assertEquals(View.GONE, phone.view(R.id.text).visibility)
            assertEquals(View.VISIBLE, phone.view(R.id.camera_button).visibility)
        }
    }
}
