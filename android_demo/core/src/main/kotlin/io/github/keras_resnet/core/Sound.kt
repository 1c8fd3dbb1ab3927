package io.github.keras_resnet.core

import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.PI
import kotlin.math.abs
import kotlin.math.cos
import kotlin.math.ln
import kotlin.math.ln1p
import kotlin.math.log10
import kotlin.math.pow
import kotlin.math.sign
import kotlin.math.sin

private const val MOST_SAMPLES = 1 shl 24

/** A recording that can't be heard; the message is a sentence for the screen. */
class SoundError(message: String) : Exception(message)

/** Samples in [-1, 1), the channels' mean. */
class Recording(val rate: Int, val samples: DoubleArray) {
    companion object {
        /**
         * Reads a WAV file of 8, 16, 24 or 32 bits PCM.
         *
         * @throws SoundError it is none.
         */
        fun read(content: ByteArray): Recording = readWav(content)
    }
}

/**
 * How a recording becomes the network's input: a log-mel picture of bytes, a row for each moment, in double precision,
 * as `device/sound.py` makes it.
 */
class SoundInput(
    val rate: Int,
    seconds: Double,
    /** In samples. */
    val window: Int,
    /** In samples. */
    val hop: Int,
    /** Of the mel scale; 0: the wave itself. */
    val bands: Int,
    /** Hz. */
    lowest: Double,
    highest: Double, // at most half the rate
    /** Decibels of full scale. */
    private val quiet: Double,
    private val loud: Double,
) : Input {
    /** That are heard. */
    val samples: Int = Math.rint(rate * seconds).toInt()

    init {
        if (rate < 1 || samples !in 1..MOST_SAMPLES || window !in 2..samples || hop < 1 || bands !in 0..window || !(quiet < loud) || !(0 <= lowest && lowest < highest && highest <= rate / 2.0)) {
            throw ModelError("a sound of $samples samples at $rate Hz, window $window, hop $hop, $bands bands; that can't be.")
        }
    }

    override val shape: List<Int>
        get() = if (bands == 0) listOf(1, samples, 1) else listOf((samples - window) / hop + 1, bands, 1)

    private val length = Integer.highestOneBit(window - 1) shl 1 // of the Fourier transform
    private val hann = DoubleArray(window) { 0.5 - 0.5 * cos(2 * PI * it / window) }
    private val full = (hann.sum() / 2).pow(2) // power of a sine of full scale
    private val triangles = triangles(lowest, highest)
    private val turns = Array(length / 2) { doubleArrayOf(cos(2 * PI * it / length), -sin(2 * PI * it / length)) }

    private fun triangles(lowest: Double, highest: Double): Array<DoubleArray> {
        val (first, last) = listOf(lowest, highest).map { 2595 * log10(1 + it / 700) }
        val hertz = DoubleArray(bands + 2) { 700 * (10.0.pow((first + it * ((last - first) / (bands + 1))) / 2595) - 1) }
        return Array(bands) { band ->
            DoubleArray(length / 2 + 1) {
                val frequency = it * (rate.toDouble() / length)
                val rising = (frequency - hertz[band]) / (hertz[band + 1] - hertz[band])
                val falling = (hertz[band + 2] - frequency) / (hertz[band + 2] - hertz[band + 1])
                maxOf(0.0, minOf(rising, falling))
            }
        }
    }

    /** Bytes (moments, bands), or of the wave by the mu law, of samples in [-1, 1), of which the middle is heard. */
    fun pixels(samples: DoubleArray): ByteArray {
        val heard = middle(samples)
        if (bands == 0) {
            return ByteArray(heard.size) {
                val loud = ln1p(255 * minOf(1.0, abs(heard[it]))) / ln(256.0)
                Math.rint(128 + 127 * sign(heard[it]) * loud).toInt().toByte()
            }
        }
        val (moments, bands) = shape
        val pixels = ByteArray(moments * bands)
        for (moment in 0 until moments) {
            val power = power(heard, moment * hop)
            for (band in 0 until bands) {
                var sum = 0.0
                for (i in power.indices) sum += power[i] * triangles[band][i]
                val decibels = 10 * log10(sum + 10.0.pow(quiet / 10))
                val step = Math.rint((decibels - quiet) / (loud - quiet) * 255)
                pixels[moment * bands + band] = step.coerceIn(0.0, 255.0).toInt().toByte()
            }
        }
        return pixels
    }

    private fun middle(given: DoubleArray): DoubleArray {
        if (given.size >= samples) {
            val before = (given.size - samples) / 2
            return given.copyOfRange(before, before + samples)
        }
        return DoubleArray(samples).also { given.copyInto(it, (samples - given.size) / 2) }
    }

    /** The power spectrum of a moment, by Cooley and Tukey's transform. */
    private fun power(heard: DoubleArray, start: Int): DoubleArray {
        val real = DoubleArray(length)
        val imaginary = DoubleArray(length)
        val bits = Integer.numberOfTrailingZeros(length)
        for (i in 0 until window) real[Integer.reverse(i) ushr (32 - bits)] = heard[start + i] * hann[i]
        var half = 1
        while (half < length) {
            for (first in 0 until length step 2 * half) {
                for (i in 0 until half) {
                    val (c, s) = turns[i * (length / 2 / half)]
                    val low = first + i
                    val high = low + half
                    val re = real[high] * c - imaginary[high] * s
                    val im = real[high] * s + imaginary[high] * c
                    real[high] = real[low] - re
                    imaginary[high] = imaginary[low] - im
                    real[low] += re
                    imaginary[low] += im
                }
            }
            half *= 2
        }
        return DoubleArray(length / 2 + 1) { (real[it] * real[it] + imaginary[it] * imaginary[it]) / full }
    }
}

private const val PCM = 1
private const val EXTENSIBLE = 0xfffe // the format itself comes later

private fun readWav(content: ByteArray): Recording {
    val file = ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN)
    fun refuse(): Nothing = throw SoundError("This is no WAV file of 8, 16, 24 or 32 bits PCM.")
    if (content.size < 12 || String(content, 0, 4) != "RIFF" || String(content, 8, 4) != "WAVE") refuse()
    var place = 12
    var format: List<Int>? = null // channels, rate, bytes a sample
    while (place + 8 <= content.size) {
        val name = String(content, place, 4)
        val size = file.getInt(place + 4).toLong() and 0xffffffffL // the most: written as it came, up to the file's end
        val inside = place + 8
        if (name == "fmt " && size >= 16 && inside + 16 <= content.size) {
            val said = file.getShort(inside).toInt() and 0xffff
            val later = said == EXTENSIBLE && size >= 26 && inside + 26 <= content.size
            if ((if (later) file.getShort(inside + 24).toInt() else said) != PCM) refuse()
            format = listOf(file.getShort(inside + 2).toInt(), file.getInt(inside + 4), (file.getShort(inside + 14) + 7) / 8)
        }
        if (name == "data") {
            val (channels, rate, bytes) = format ?: refuse()
            if (channels < 1 || rate < 1 || bytes !in 1..4) refuse()
            val end = minOf(content.size.toLong(), inside + size).toInt()
            val count = (end - inside) / (bytes * channels)
            return Recording(rate, DoubleArray(count) { i -> mean(file, inside + i * bytes * channels, channels, bytes) })
        }
        place = minOf(content.size.toLong(), inside + size + size % 2).toInt()
    }
    refuse()
}

/** The mean of the channels' samples that begin at a place. */
private fun mean(file: ByteBuffer, place: Int, channels: Int, bytes: Int): Double {
    var sum = 0.0
    for (channel in 0 until channels) {
        val at = place + channel * bytes
        sum += when (bytes) {
            1 -> (file.get(at).toInt() and 0xff) - 128.0
            2 -> file.getShort(at).toDouble()
            // As the upper three bytes of four.
            3 -> (((file.get(at).toInt() and 0xff) shl 8) or (file.getShort(at + 1).toInt() shl 16)).toDouble()
            else -> file.getInt(at).toDouble()
        }
    }
    return sum / channels / doubleArrayOf(128.0, 32768.0, 2147483648.0, 2147483648.0)[bytes - 1]
}
