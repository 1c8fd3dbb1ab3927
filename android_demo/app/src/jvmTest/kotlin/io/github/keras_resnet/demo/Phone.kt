package io.github.keras_resnet.demo

import android.content.Intent
import android.graphics.Bitmap
import android.graphics.Canvas
import android.net.Uri
import android.os.Looper
import android.view.View
import android.widget.Spinner
import android.widget.TextView
import io.github.keras_resnet.core.Golden
import io.github.keras_resnet.core.GoldenPicture
import io.github.keras_resnet.core.Model
import java.io.ByteArrayInputStream
import java.io.File
import org.robolectric.Robolectric
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.android.controller.ActivityController

/** The app on Robolectric's phone, whose files are those of the APK that tools/apk.sh built. */
class Phone(intent: Intent = Intent(Intent.ACTION_MAIN)) : AutoCloseable {
    val controller: ActivityController<MainActivity> =
        Robolectric.buildActivity(MainActivity::class.java, intent).setup()
    val activity: MainActivity get() = controller.get()

    fun view(id: Int): View = activity.findViewById(id)!!

    fun text(id: Int): String {
        val view = activity.findViewById<TextView>(id)!!
        return if (view.visibility == View.VISIBLE) view.text.toString() else ""
    }

    fun described(id: Int): String = view(id).contentDescription.toString()

    fun tap(id: Int) {
        view(id).performClick()
        idle()
    }

    fun choose(spinner: Int, choice: String) {
        val view = activity.findViewById<Spinner>(spinner)!!
        val place = (0 until view.count).firstOrNull { view.getItemAtPosition(it) == choice }
        view.setSelection(place ?: throw AssertionError("$choice can't be chosen"))
        idle()
    }

    /** Waits until a line of the screen satisfies; its text comes back. */
    fun await(id: Int, condition: (String) -> Boolean): String = await({ text(id) }, condition)

    fun await(read: () -> String, condition: (String) -> Boolean): String {
        val end = System.nanoTime() + 60_000_000_000
        while (!condition(read())) {
            if (System.nanoTime() > end) throw AssertionError("after a minute the screen still says: ${read()}")
            idle()
            Thread.sleep(10)
        }
        return read()
    }

    private fun idle() = shadowOf(Looper.getMainLooper()).idle()

    /** Draws the screen as Android does, into build/android/screens/NAME.png. */
    fun draw(name: String) {
        idle()
        val view = activity.window.decorView
        val bitmap = Bitmap.createBitmap(view.width, view.height, Bitmap.Config.ARGB_8888)
        view.draw(Canvas(bitmap))
        val file = File(System.getProperty("screens"), "$name.png").apply { parentFile!!.mkdirs() }
        file.outputStream().use { bitmap.compress(Bitmap.CompressFormat.PNG, 100, it) }
    }

    override fun close() {
        controller.pause().stop().destroy()
    }

    companion object {
        const val DIGITS = "digits-resnet8"
        const val CIFAR = "cifar10-jpeg-resnet20"
        val URI: Uri = Uri.parse("content://gallery/1")

        /** Shares a file's bytes, as a gallery does. */
        fun sharing(bytes: ByteArray): Intent {
            val resolver = shadowOf(RuntimeEnvironment.getApplication().contentResolver)
            resolver.registerInputStreamSupplier(URI) { ByteArrayInputStream(bytes) }
            return Intent(Intent.ACTION_SEND).setType("image/png").putExtra(Intent.EXTRA_STREAM, URI)
        }

        /** The golden pictures of a bundled model. */
        fun golden(name: String): List<GoldenPicture> {
            val store = ModelStore(RuntimeEnvironment.getApplication().assets)
            return Golden.read(store.golden(name)!!, Model.read(store.content(name), name)).pictures
        }
    }
}
