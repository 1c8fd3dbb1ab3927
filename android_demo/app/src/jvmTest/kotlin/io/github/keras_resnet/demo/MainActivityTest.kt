package io.github.keras_resnet.demo

import android.Manifest
import android.app.Activity
import android.content.Intent
import android.content.res.Configuration
import android.graphics.Color
import android.net.Uri
import android.os.Bundle
import android.view.View
import android.widget.LinearLayout
import android.widget.ScrollView
import io.github.keras_resnet.core.Answer
import io.github.keras_resnet.core.Model
import io.github.keras_resnet.core.Pipeline
import java.io.ByteArrayInputStream
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNotNull
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf

/** The screen's sentences and answers; LiteRT is the APK's own library. */
@RunWith(RobolectricTestRunner::class)
class MainActivityTest {
    @Test
    fun `a shared picture is answered as Python answers it, and read out`() {
        val golden = Phone.golden(Phone.CIFAR)[0]
        Phone(Phone.sharing(golden.file)).use { phone ->
            phone.await(R.id.times) { it.startsWith("prepare ") }
            phone.await(R.id.status) { it.endsWith("· 32 × 32 · CPU, 2 threads") }
            val times = phone.text(R.id.times)
            assertTrue(times, Regex("""prepare \d+\.\d ms · infer \d+\.\d ms""").matches(times))
            val said = phone.described(R.id.bars).split("; ")
            assertEquals(5, said.size)
            assertEquals(top(Phone.CIFAR, golden.output), said[0].substringBefore(","))
            assertEquals(View.ACCESSIBILITY_LIVE_REGION_POLITE, phone.view(R.id.bars).accessibilityLiveRegion)
            assertEquals(View.VISIBLE, phone.view(R.id.picture).visibility)
            phone.draw("picture")
        }
    }

    private fun top(model: String, output: ByteArray): String {
        val store = ModelStore(RuntimeEnvironment.getApplication().assets)
        return Pipeline(Model.read(store.content(model), model)).answers(output, 1)[0].label
    }

    @Test
    fun `labels that are there are marked`() {
        Phone().use { phone ->
            phone.await(R.id.status) { it.contains("resnet20") }
            val answers = listOf(Answer("hat", 0.9, true), Answer("beard", 0.6), Answer("tie", 0.2, true))
            (phone.view(R.id.bars) as BarsView).show(answers, isLive = false)
            assertEquals("✓ hat, 90 percent; beard, 60 percent; ✓ tie, 20 percent", phone.described(R.id.bars))
            phone.draw("labels")
            val five = wanted(phone.view(R.id.bars))
            (phone.view(R.id.bars) as BarsView).show(List(8) { Answer("hat $it", 0.9, true) }, isLive = false)
            assertEquals(8 * five / 5, wanted(phone.view(R.id.bars)), 2.0)
        }
    }

    private fun wanted(view: View): Double {
        view.measure(View.MeasureSpec.UNSPECIFIED, View.MeasureSpec.UNSPECIFIED)
        return view.measuredHeight.toDouble()
    }

    @Test
    fun `models are switched, and the picture is classified again`() {
        val golden = Phone.golden(Phone.DIGITS)[3]
        Phone(Phone.sharing(golden.file)).use { phone ->
            val before = phone.await({ phone.described(R.id.bars) }) { it.contains("percent") }
            phone.choose(R.id.models, Phone.DIGITS)
            val after = phone.await({ phone.described(R.id.bars) }) { it.contains("percent") && it != before }
            assertEquals(top(Phone.DIGITS, golden.output), after.substringBefore(","))
        }
    }

    @Test
    fun `the self-check finds every picture identical`() {
        Phone(Phone.sharing(Phone.golden(Phone.CIFAR)[0].file)).use { phone ->
            phone.await({ phone.described(R.id.bars) }) { it.contains("percent") }
            phone.tap(R.id.check_button)
            val text = phone.await(R.id.check) { it.contains("/16 identical") }
            assertEquals("Self-check on CPU, 2 threads: 16/16 identical", text)
            phone.draw("self_check")
        }
    }

    @Test
    fun `a GPU that is not there is replaced, and the screen says so`() {
        Phone(Phone.sharing(Phone.golden(Phone.CIFAR)[0].file)).use { phone ->
            phone.choose(R.id.processors, "GPU")
            val status = phone.await(R.id.status) { it.contains("GPU can’t be used here") }
            assertTrue(status, status.contains("CPU, 2 threads") && status.contains("It runs on the CPU instead."))
            phone.await({ phone.described(R.id.bars) }) { it.contains("percent") }
            phone.draw("no_gpu")
        }
    }

    @Test
    fun `NNAPI takes what it can, which may be nothing, and the screen says so`() {
        Phone(Phone.sharing(Phone.golden(Phone.CIFAR)[0].file)).use { phone ->
            phone.choose(R.id.processors, "NNAPI")
            phone.await(R.id.status) { it.contains("What NNAPI can’t do runs on the CPU") }
            phone.await({ phone.described(R.id.bars) }) { it.contains("percent") }
        }
    }

    @Test
    fun `a camera that is not allowed is a sentence, asked about once`() {
        Phone().use { phone ->
            val asked = shadowOf(phone.activity).lastRequestedPermission
            assertEquals(listOf(Manifest.permission.CAMERA), asked.requestedPermissions.toList())
            phone.controller.pause().resume() // as after the dialog's refusal
            assertTrue(phone.text(R.id.message), phone.text(R.id.message).startsWith("The camera is not allowed."))
            phone.draw("not_allowed")
        }
    }

    @Test
    fun `a phone without a camera is a sentence`() {
        allowCamera()
        Phone().use { phone ->
            phone.await(R.id.message) { it == "No camera was found. Pick a picture instead." }
        }
    }

    private fun allowCamera() =
        shadowOf(RuntimeEnvironment.getApplication()).grantPermissions(Manifest.permission.CAMERA)

    @Test
    fun `files that are no pictures, and pictures that are gone, are sentences`() {
        Phone(Phone.sharing("not a picture".toByteArray())).use { phone ->
            phone.await(R.id.message) { it == "That is no picture that Android can read." }
        }
        val png = Phone.golden(Phone.CIFAR)[0].file
        Phone(Phone.sharing(png.copyOf(40))).use { phone ->
            phone.await(R.id.message) { it == "That is no picture that Android can read." }
        }
        val own = Phone.sharing(png).putExtra(Intent.EXTRA_STREAM, Uri.parse("file:///data/data/own"))
        Phone(own).use { phone ->
            phone.await(R.id.message) { it.startsWith("The picture can’t be opened: ") }
            phone.draw("no_picture")
        }
    }

    @Test
    fun `odd pictures are sentences, and the model survives them`() {
        val sentences = listOf(
            { ByteArrayInputStream(Phone.whitePng(30_000, 30_000)) } to
                "The picture is too large: 30000 × 30000 pixels, expected at most 25 million. Share a smaller one.",
            { ByteArrayInputStream(Phone.whitePng(1, 5000)) } to
                "The picture can’t be classified: 1 × 5000 pixels are too long for an input of 32 × 32, which would " +
                "show less than a 64th of it",
            { throw OutOfMemoryError() } to
                "The picture needs more memory than this phone has left for it. Share a smaller one.",
            { throw IllegalStateException("the gallery is gone") } to "The picture can’t be opened: the gallery is gone",
        )
        val png = Phone.golden(Phone.CIFAR)[0].file
        Phone(Phone.sharing(png)).use { phone ->
            val before = phone.await({ phone.described(R.id.bars) }) { it.contains("percent") }
            for ((open, sentence) in sentences) {
                Phone.sharing(open)
                pick(phone)
                phone.await(R.id.message) { it == sentence }
                assertEquals("No answer yet", phone.described(R.id.bars))
                assertTrue(phone.text(R.id.status), phone.text(R.id.status).contains("resnet20"))
                Phone.sharing(png)
                pick(phone)
                assertEquals(before, phone.await({ phone.described(R.id.bars) }) { it.contains("percent") })
                assertEquals("", phone.text(R.id.message))
            }
            phone.tap(R.id.check_button) // the same model, still open
            phone.await(R.id.check) { it.endsWith("16/16 identical") }
        }
    }

    private fun pick(phone: Phone) {
        phone.tap(R.id.picture_button)
        val asked = shadowOf(phone.activity).nextStartedActivityForResult
        shadowOf(phone.activity).receiveResult(asked.intent, Activity.RESULT_OK, Intent().setData(Phone.URI))
    }

    @Test
    fun `what another app shares may be no address`() {
        for (extra in listOf(Intent(), Bundle())) {
            val intent = Intent(Intent.ACTION_SEND).setType("image/png").putExtra(Intent.EXTRA_STREAM, extra)
            Phone(intent).use { phone -> phone.await(R.id.status) { it.contains("resnet20") } }
        }
    }

    @Test
    fun `a broken model is a sentence, and another one still works`() {
        Phone(Phone.sharing(Phone.golden(Phone.DIGITS)[0].file)).use { phone ->
            for (broken in listOf("zz-empty", "zz-text", "zz-cut", "zz-future")) {
                phone.choose(R.id.models, broken)
                phone.await(R.id.status) { it.startsWith("$broken can’t be used: ") }
                assertEquals("No answer yet", phone.described(R.id.bars))
                phone.tap(R.id.check_button)
                phone.await(R.id.check) { it == "No model is open, so nothing can be checked." }
            }
            phone.draw("broken_model")
            phone.choose(R.id.models, Phone.DIGITS)
            phone.await({ phone.described(R.id.bars) }) { it.contains("percent") }
        }
    }

    @Test
    fun `the screen turns with the picture and the choices on it`() {
        Phone(Phone.sharing(Phone.golden(Phone.DIGITS)[5].file)).use { phone ->
            phone.choose(R.id.models, Phone.DIGITS)
            val before = phone.await({ phone.described(R.id.bars) }) { it.contains("percent") }
            RuntimeEnvironment.setQualifiers("+w891dp-h411dp-land")
            phone.controller.recreate()
            assertEquals(Configuration.ORIENTATION_LANDSCAPE, phone.activity.resources.configuration.orientation)
            assertEquals(LinearLayout.HORIZONTAL, (phone.view(R.id.camera).parent.parent as LinearLayout).orientation)
            val after = phone.await({ phone.described(R.id.bars) }) { it.contains("percent") }
            phone.await(R.id.status) { it.contains("resnet8") }
            assertEquals(before, after)
            phone.draw("turned")
        }
    }

    @Test
    fun `a picture is picked, and the camera can be returned to`() {
        Phone.sharing(Phone.golden(Phone.CIFAR)[7].file)
        Phone().use { phone ->
            phone.tap(R.id.picture_button)
            val asked = shadowOf(phone.activity).nextStartedActivityForResult
            assertEquals(Intent.ACTION_OPEN_DOCUMENT, asked.intent.action)
            assertEquals("image/*", asked.intent.type)
            val picked = Intent().setData(Phone.URI)
            shadowOf(phone.activity).receiveResult(asked.intent, Activity.RESULT_OK, picked)
            phone.await({ phone.described(R.id.bars) }) { it.contains("percent") }
            phone.tap(R.id.camera_button)
            assertEquals("No answer yet", phone.described(R.id.bars))
            assertEquals(View.GONE, phone.view(R.id.picture).visibility)
        }
    }

    @Test
    fun `picking is given up, and nothing changes`() {
        Phone().use { phone ->
            phone.tap(R.id.picture_button)
            val asked = shadowOf(phone.activity).nextStartedActivityForResult
            shadowOf(phone.activity).receiveResult(asked.intent, Activity.RESULT_CANCELED, null)
            assertEquals(View.GONE, phone.view(R.id.picture).visibility)
        }
    }

    @Test
    fun `the model's thread ends with the screen`() {
        Phone().use { phone -> phone.await(R.id.status) { it.contains("CPU") } }
        val end = System.nanoTime() + 10_000_000_000
        while (recognizers().isNotEmpty() && System.nanoTime() < end) Thread.sleep(10)
        assertEquals(emptyList<String>(), recognizers())
    }

    private fun recognizers() = Thread.getAllStackTraces().keys.map { it.name }.filter { it == "recognizer" }

    @Test
    fun `dark mode and large text`() {
        val golden = Phone.golden(Phone.CIFAR)[0]
        RuntimeEnvironment.setQualifiers("+night")
        Phone(Phone.sharing(golden.file)).use { phone ->
            phone.await({ phone.described(R.id.bars) }) { it.contains("percent") }
            phone.draw("dark")
            assertFalse(isLight(phone, R.color.background))
            assertTrue(isLight(phone, R.color.text))
        }
        RuntimeEnvironment.setQualifiers("+notnight")
        RuntimeEnvironment.setFontScale(2f)
        Phone(Phone.sharing(golden.file)).use { phone ->
            phone.await({ phone.described(R.id.bars) }) { it.contains("percent") }
            phone.draw("large_text")
            val bars = phone.view(R.id.bars)
            val text = phone.activity.resources.getDimension(R.dimen.bar_text)
            assertTrue("${bars.height} pixels for five lines of $text", bars.height > 5 * text)
            assertNotNull(phone.view(R.id.status).parent.parent as? ScrollView)
        }
    }

    private fun isLight(phone: Phone, color: Int) =
        Color.luminance(phone.activity.getColor(color)) > 0.5
}
