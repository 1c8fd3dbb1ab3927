package io.github.keras_resnet.demo

import android.annotation.SuppressLint
import android.media.AudioFormat
import android.media.AudioRecord
import android.media.MediaRecorder
import io.github.keras_resnet.core.Recording
import io.github.keras_resnet.core.SoundError

/** The phone's microphone. */
object Microphone {
    /**
     * Hears so many samples, at so many a second; it takes as long as they last. The permission must have been given.
     *
     * @throws SoundError there is no microphone that can, or another app has it.
     */
    @SuppressLint("MissingPermission")
    fun record(rate: Int, samples: Int): Recording {
        val least = AudioRecord.getMinBufferSize(rate, CHANNEL, ENCODING)
        if (least <= 0) throw SoundError("this phone records no $rate samples a second")
        val recorder = AudioRecord(MediaRecorder.AudioSource.VOICE_RECOGNITION, rate, CHANNEL, ENCODING, maxOf(least, 2 * rate))
        try {
            if (recorder.state != AudioRecord.STATE_INITIALIZED) throw SoundError("the microphone is not there, or another app has it")
            recorder.startRecording()
            val heard = ShortArray(samples)
            var count = 0
            while (count < samples) {
                val more = recorder.read(heard, count, samples - count)
                if (more <= 0) throw SoundError("the microphone stopped ($more)")
                count += more
            }
            recorder.stop()
            return Recording(rate, DoubleArray(samples) { heard[it] / FULL })
        } finally {
            recorder.release()
        }
    }

    private const val CHANNEL = AudioFormat.CHANNEL_IN_MONO
    private const val ENCODING = AudioFormat.ENCODING_PCM_16BIT
    private const val FULL = 32768.0
}
