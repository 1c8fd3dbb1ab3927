package io.github.keras_resnet.demo

import android.content.res.AssetManager
import java.io.FileInputStream
import java.io.FileNotFoundException
import java.nio.ByteBuffer
import java.nio.channels.FileChannel

/** The models in the app's assets, `models/NAME.tflite`, and their golden sets, `models/NAME.golden.json`. */
class ModelStore(private val assets: AssetManager) {
    /** Names of the models, in order. */
    fun names(): List<String> =
        assets.list(FOLDER).orEmpty().filter { it.endsWith(SUFFIX) }.map { it.removeSuffix(SUFFIX) }.sorted()

    /**
     * Maps a model into memory; nothing is copied.
     *
     * @throws java.io.IOException it is missing, or compressed in the APK.
     */
    fun content(name: String): ByteBuffer = assets.openFd("$FOLDER/$name$SUFFIX").use { asset ->
        FileInputStream(asset.fileDescriptor).channel.use {
            it.map(FileChannel.MapMode.READ_ONLY, asset.startOffset, asset.declaredLength)
        }
    }

    /** The golden set's text, or null where the model has none. */
    fun golden(name: String): String? = try {
        assets.open("$FOLDER/$name.golden.json").use { it.readBytes().decodeToString() }
    } catch (_: FileNotFoundException) {
        null
    }

    private companion object {
        const val FOLDER = "models"
        const val SUFFIX = ".tflite"
    }
}
