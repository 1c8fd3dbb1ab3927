package io.github.keras_resnet.demo

import android.graphics.ImageFormat
import android.hardware.camera2.CameraCharacteristics
import android.hardware.camera2.CameraManager
import android.util.Size
import android.view.SurfaceHolder
import io.github.keras_resnet.core.Picture

/** A camera and the size of its frames, the same for network and preview: what is seen is what is classified. */
class CameraChoice(val id: String, val size: Size, private val sensorDegrees: Int, private val isFront: Boolean) {
    /** Degrees clockwise by which a frame must be turned to stand upright on a screen that is turned itself. */
    fun degrees(displayDegrees: Int): Int =
        if (isFront) (sensorDegrees + displayDegrees) % 360 else (sensorDegrees - displayDegrees + 360) % 360

    /**
     * EXIF's orientation of a frame, so that it becomes what the preview shows. Android mirrors a front camera's preview
     * (`OutputConfiguration.MIRROR_MODE_AUTO`; to turn that off takes Android 13) and never the frames of an ImageReader.
     */
    fun orientation(displayDegrees: Int): Int = Picture.orientation(degrees(displayDegrees), isMirrored = isFront)

    companion object {
        private const val SHORTER_SIDE = 480 // enough for every usual network, little enough to be prepared in time

        /** The first camera on the back, else the first one; null where there is none. */
        fun find(manager: CameraManager): CameraChoice? {
            val choices = manager.cameraIdList.mapNotNull { choice(it, manager.getCameraCharacteristics(it)) }
            return choices.firstOrNull { !it.isFront } ?: choices.firstOrNull()
        }

        private fun choice(id: String, about: CameraCharacteristics): CameraChoice? {
            val streams = about[CameraCharacteristics.SCALER_STREAM_CONFIGURATION_MAP] ?: return null
            val previews = streams.getOutputSizes(SurfaceHolder::class.java).orEmpty().toSet()
            val sizes = streams.getOutputSizes(ImageFormat.YUV_420_888).orEmpty().filter { it in previews }
            val isFront = about[CameraCharacteristics.LENS_FACING] == CameraCharacteristics.LENS_FACING_FRONT
            val sensorDegrees = about[CameraCharacteristics.SENSOR_ORIENTATION] ?: 0
            return size(sizes)?.let { CameraChoice(id, it, sensorDegrees, isFront) }
        }

        /** The smallest size that is large enough, else the largest. */
        fun size(sizes: List<Size>): Size? {
            val bySize = sizes.sortedBy { it.width.toLong() * it.height }
            return bySize.firstOrNull { minOf(it.width, it.height) >= SHORTER_SIDE } ?: bySize.lastOrNull()
        }
    }
}
