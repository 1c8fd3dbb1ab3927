package io.github.keras_resnet.demo

import android.annotation.SuppressLint
import android.graphics.ImageFormat
import android.hardware.camera2.CameraAccessException
import android.hardware.camera2.CameraCaptureSession
import android.hardware.camera2.CameraDevice
import android.hardware.camera2.CameraManager
import android.hardware.camera2.CaptureRequest
import android.media.Image
import android.media.ImageReader
import android.os.Handler
import android.view.Surface
import java.io.Closeable

/**
 * A camera that runs: frames to `onFrame` and to the preview's surface.
 *
 * @param thread where the camera is opened, answers and is closed; opening can take a while.
 * @param frames the thread of `onFrame`. A frame that comes while one is worked on is dropped.
 * @param onFailed gets a reason for the screen, on the camera's thread; the stream is closed then.
 */
class CameraStream(
    private val manager: CameraManager,
    private val choice: CameraChoice,
    private val preview: Surface,
    private val thread: Handler,
    private val frames: Handler,
    private val onFrame: (Image) -> Unit,
    private val onFailed: (String) -> Unit,
) : Closeable {
    private var device: CameraDevice? = null
    private var reader: ImageReader? = null
    private var isClosed = false // like all of these, of the camera's thread alone

    init {
        thread.post { attempt { open() } }
    }

    override fun close() {
        thread.post { closeNow() }
    }

    @SuppressLint("MissingPermission") // whoever starts it has asked; a refusal is a SecurityException
    private fun open() {
        if (!isClosed) manager.openCamera(choice.id, states, thread)
    }

    private val states = object : CameraDevice.StateCallback() {
        override fun onOpened(camera: CameraDevice) {
            device = camera
            if (isClosed) closeNow() else attempt { configure(camera) }
        }

        override fun onDisconnected(camera: CameraDevice) = fail(camera, TAKEN)

        override fun onError(camera: CameraDevice, error: Int) = fail(camera, "error $error")

        private fun fail(camera: CameraDevice, reason: String) {
            device = camera
            fail(reason)
        }
    }

    @Suppress("DEPRECATION") // what follows it begins with Android 9
    private fun configure(camera: CameraDevice) {
        val newReader = ImageReader.newInstance(choice.size.width, choice.size.height, ImageFormat.YUV_420_888, 2)
        newReader.setOnImageAvailableListener({ it.acquireLatestImage()?.use(onFrame) }, frames)
        reader = newReader
        camera.createCaptureSession(
            listOf(preview, newReader.surface),
            object : CameraCaptureSession.StateCallback() {
                override fun onConfigured(session: CameraCaptureSession) {
                    if (!isClosed) attempt { session.setRepeatingRequest(request(camera, newReader), null, thread) }
                }

                override fun onConfigureFailed(session: CameraCaptureSession) = fail("it refuses ${choice.size}")
            },
            thread,
        )
    }

    private fun request(camera: CameraDevice, reader: ImageReader): CaptureRequest =
        camera.createCaptureRequest(CameraDevice.TEMPLATE_PREVIEW).run {
            addTarget(preview)
            addTarget(reader.surface)
            set(CaptureRequest.CONTROL_AF_MODE, CaptureRequest.CONTROL_AF_MODE_CONTINUOUS_PICTURE)
            build()
        }

    /** A camera can go away at any moment, and each call then throws its own kind. */
    private fun attempt(action: () -> Unit) {
        try {
            action()
        } catch (error: CameraAccessException) {
            fail(error.message ?: "error ${error.reason}")
        } catch (error: RuntimeException) { // not allowed, closed, the preview's surface is gone, say
            fail(error.message ?: error.javaClass.simpleName)
        }
    }

    private fun fail(reason: String) {
        val isNews = !isClosed
        closeNow()
        if (isNews) onFailed(reason)
    }

    private fun closeNow() {
        isClosed = true
        device?.close()
        device = null
        // On the frames' thread: no frame is worked on in freed memory. If that has ended, the finalizer closes.
        reader?.let { frames.post(it::close) }
        reader = null
    }

    companion object {
        /** The reason when another app took the camera. */
        const val TAKEN = "taken"
    }
}
