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
import io.github.keras_resnet.core.GoldenExample
import io.github.keras_resnet.core.Model
import java.io.ByteArrayInputStream
import java.io.ByteArrayOutputStream
import java.io.DataOutputStream
import java.io.File
import java.io.InputStream
import java.nio.ByteBuffer
import java.util.zip.CRC32
import java.util.zip.DeflaterOutputStream
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
        fun sharing(bytes: ByteArray): Intent = sharing { ByteArrayInputStream(bytes) }

        fun sharing(open: () -> InputStream): Intent {
            val resolver = shadowOf(RuntimeEnvironment.getApplication().contentResolver)
            resolver.registerInputStreamSupplier(URI) { open() }
            return Intent(Intent.ACTION_SEND).setType("image/png").putExtra(Intent.EXTRA_STREAM, URI)
        }

        /** A white picture, one bit a pixel: a thousandth of what it takes decoded. */
        fun whitePng(width: Int, height: Int): ByteArray {
            val file = ByteArrayOutputStream()
            val data = DataOutputStream(file)
            fun chunk(name: String, content: ByteArray) {
                val named = name.toByteArray() + content
                data.writeInt(content.size)
                data.write(named)
                data.writeInt(CRC32().apply { update(named) }.value.toInt())
            }
            data.writeLong(-0x76afb1b8f2f5e5f6) // PNG's first eight bytes
            chunk("IHDR", ByteBuffer.allocate(13).putInt(width).putInt(height).put(1).array())
            val rows = ByteArrayOutputStream()
            DeflaterOutputStream(rows).use { deflater ->
                val row = ByteArray(1 + (width + 7) / 8) { if (it == 0) 0 else -1 }
                repeat(height) { deflater.write(row) }
            }
            chunk("IDAT", rows.toByteArray())
            chunk("IEND", ByteArray(0))
            return file.toByteArray()
        }

        /** The golden pictures of a bundled model. */
        fun golden(name: String): List<GoldenExample> {
            val store = ModelStore(RuntimeEnvironment.getApplication().assets)
            return Golden.read(store.golden(name)!!, Model.read(store.content(name), name)).examples
        }
    }
}
