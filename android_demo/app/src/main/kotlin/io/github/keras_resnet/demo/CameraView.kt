package io.github.keras_resnet.demo

import android.content.Context
import android.hardware.camera2.CameraAccessException
import android.hardware.camera2.CameraManager
import android.media.Image
import android.os.Handler
import android.os.HandlerThread
import android.util.AttributeSet
import android.view.Surface
import android.view.SurfaceHolder
import android.view.SurfaceView

/** The camera's live picture. It runs between `start` and `stop`, whenever its surface is there. */
class CameraView(context: Context, attributes: AttributeSet?) :
    SurfaceView(context, attributes), SurfaceHolder.Callback {

    interface Listener {
        /** A frame, on the frames' thread, and its orientation (EXIF's) in the preview. It is closed afterwards. */
        fun onFrame(image: Image, orientation: Int)

        /** A sentence for the screen, on the main thread. */
        fun onCameraMissing(sentence: String)
    }

    private val manager: CameraManager? = context.getSystemService(CameraManager::class.java)
    private var isStarted = false
    private var round = 0 // of start and stop; what a former one still says is not heard
    private var choice: CameraChoice? = null
    private var stream: CameraStream? = null
    private lateinit var frames: Handler
    private lateinit var listener: Listener

    init {
        holder.addCallback(this)
    }

    /** Looks for a camera and runs it. The permission must have been given. */
    fun start(frames: Handler, listener: Listener) {
        if (isStarted) return
        isStarted = true
        this.frames = frames
        this.listener = listener
        val round = ++round
        cameraThread.post {
            val found = find()
            post { if (round == this.round) use(found) }
        }
    }

    fun stop() {
        isStarted = false
        round++
        closeStream()
        choice = null
    }

    private fun find(): Result<CameraChoice?> = try {
        Result.success(manager?.let(CameraChoice::find))
    } catch (error: CameraAccessException) {
        Result.failure(error)
    } catch (error: RuntimeException) { // one that was unplugged meanwhile, and what phones' makers throw
        Result.failure(error)
    }

    private fun use(found: Result<CameraChoice?>) {
        found.onFailure { return fail("${it.message}") }
        choice = found.getOrNull() ?: return listener.onCameraMissing(resources.getString(R.string.no_camera))
        choice?.size?.let { holder.setFixedSize(it.width, it.height) }
        requestLayout()
        openStream()
    }

    private fun openStream() {
        val choice = choice ?: return
        val manager = manager ?: return
        val frame = holder.surfaceFrame
        if (stream != null || !holder.surface.isValid) return
        // The surface has its new size only some time after it was asked for.
        if (frame.width() != choice.size.width || frame.height() != choice.size.height) return
        val onFrame = { image: Image -> listener.onFrame(image, choice.orientation(displayDegrees())) }
        val round = round
        stream = CameraStream(manager, choice, holder.surface, cameraThread, frames, onFrame) { reason ->
            post { if (round == this.round) fail(reason) }
        }
    }

    private fun closeStream() {
        stream?.close()
        stream = null
    }

    private fun fail(reason: String) {
        stop()
        val words = if (reason == CameraStream.TAKEN) resources.getString(R.string.camera_taken) else reason
        listener.onCameraMissing(resources.getString(R.string.camera_failed, words))
    }

    override fun surfaceCreated(holder: SurfaceHolder) = Unit

    override fun surfaceChanged(holder: SurfaceHolder, format: Int, width: Int, height: Int) = openStream()

    override fun surfaceDestroyed(holder: SurfaceHolder) = closeStream()

    private fun displayDegrees(): Int = when (display?.rotation) {
        Surface.ROTATION_90 -> 90
        Surface.ROTATION_180 -> 180
        Surface.ROTATION_270 -> 270
        else -> 0
    }

    /** As large as fits, with the proportions of the upright frame. */
    override fun onMeasure(widthSpec: Int, heightSpec: Int) {
        val width = MeasureSpec.getSize(widthSpec)
        val height = MeasureSpec.getSize(heightSpec)
        val choice = choice ?: return setMeasuredDimension(width, height)
        val isSideways = choice.degrees(displayDegrees()) % 180 != 0
        val frameWidth = if (isSideways) choice.size.height else choice.size.width
        val frameHeight = if (isSideways) choice.size.width else choice.size.height
        if (width * frameHeight < height * frameWidth) {
            setMeasuredDimension(width, width * frameHeight / frameWidth)
        } else {
            setMeasuredDimension(height * frameWidth / frameHeight, height)
        }
    }

    private companion object {
        /** It never ends: a camera that opens after its view has gone must still find who closes it. */
        val cameraThread by lazy { Handler(HandlerThread("camera").apply { start() }.looper) }
    }
}
