package io.github.keras_resnet.demo

import android.content.ContentResolver
import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.graphics.ColorSpace
import android.graphics.Matrix
import android.media.ExifInterface
import android.net.Uri
import android.os.Build
import io.github.keras_resnet.core.Picture
import java.io.ByteArrayInputStream
import java.io.ByteArrayOutputStream
import java.io.FileNotFoundException
import java.io.IOException

/** Bytes that are no picture Android can read. */
class NotAPicture : IOException("no picture that Android can read")

/** More pixels than are decoded. Every second one would be fewer, and another picture than Python's. */
class TooLarge(val width: Int, val height: Int) : IOException("$width x $height pixels")

/** A file decoded once, for the network and for the screen. */
class PictureFile(bytes: ByteArray) {
    private val bitmap: Bitmap
    private val orientation: Int

    init {
        val options = BitmapFactory.Options().apply { inJustDecodeBounds = true }
        BitmapFactory.decodeByteArray(bytes, 0, bytes.size, options)
        if (options.outWidth.toLong() * options.outHeight > MOST_PIXELS) {
            throw TooLarge(options.outWidth, options.outHeight)
        }
        orientation = orientation(bytes, options.outMimeType)
        options.inJustDecodeBounds = false
        options.inPremultiplied = false // alpha is dropped, as Pillow does, and must not darken the colours before
        options.inPreferredConfig = Bitmap.Config.ARGB_8888
        bitmap = BitmapFactory.decodeByteArray(bytes, 0, bytes.size, options) ?: throw NotAPicture()
        // Numbers as they are in the file, whatever space they are meant in: Pillow does not convert either.
        if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.Q && bitmap.config == Bitmap.Config.ARGB_8888) {
            bitmap.setColorSpace(ColorSpace.get(ColorSpace.Named.SRGB))
        }
    }

    /** Fills a picture for the network, upright. */
    fun copyTo(picture: Picture) {
        val row = IntArray(bitmap.width)
        picture.begin(bitmap.width, bitmap.height, orientation)
        for (y in 0 until bitmap.height) {
            bitmap.getPixels(row, 0, row.size, 0, y, row.size, 1)
            picture.setRow(y, row)
        }
    }

    /** A small upright bitmap for the screen; never the network's, since Android filters in its own way. */
    fun preview(): Bitmap {
        val scale = minOf(1f, PREVIEW_SIZE / maxOf(bitmap.width, bitmap.height))
        bitmap.isPremultiplied = true // only such can be drawn
        return Bitmap.createBitmap(bitmap, 0, 0, bitmap.width, bitmap.height, upright(scale), true)
    }

    private fun upright(scale: Float) = Matrix().apply {
        setScale(maxOf(scale, 1f / bitmap.width), maxOf(scale, 1f / bitmap.height)) // a strip keeps a pixel
        if (orientation in MIRRORED) postScale(-1f, 1f)
        if (orientation == 4) postScale(1f, -1f)
        postRotate(TURNS[orientation] ?: 0f)
    }

    companion object {
        /** As a bitmap 100 MB, as numbers for the network 75 more: what a phone of 256 MB a heap has. */
        const val MOST_PIXELS = 25_000_000L
        private const val MOST_BYTES = 64_000_000
        private const val PREVIEW_SIZE = 1024f
        private val MIRRORED = setOf(2, 5, 7)
        private val TURNS = mapOf(3 to 180f, 5 to 270f, 6 to 90f, 7 to 90f, 8 to 270f)

        /** @throws IOException the picture can't be read; SecurityException: it may not be. */
        fun read(resolver: ContentResolver, uri: Uri): PictureFile {
            // A path of our own files, say, sent by another app.
            if (uri.scheme != ContentResolver.SCHEME_CONTENT) throw FileNotFoundException("$uri")
            val stream = resolver.openInputStream(uri) ?: throw FileNotFoundException("$uri")
            return PictureFile(stream.use { readAll(it) })
        }

        private fun readAll(stream: java.io.InputStream): ByteArray {
            val bytes = ByteArrayOutputStream()
            val part = ByteArray(1 shl 16)
            while (true) {
                val count = stream.read(part)
                if (count < 0) return bytes.toByteArray()
                bytes.write(part, 0, count)
                if (bytes.size() > MOST_BYTES) throw IOException("more than ${MOST_BYTES / 1_000_000} MB")
            }
        }

        private fun orientation(bytes: ByteArray, type: String?): Int {
            if (type == null || type.startsWith("image/hei") || type == "image/avif") return 1 // their decoders turn
            return try {
                ExifInterface(ByteArrayInputStream(bytes)).getAttributeInt(ExifInterface.TAG_ORIENTATION, 1)
            } catch (_: IOException) {
                1
            }
        }
    }
}
