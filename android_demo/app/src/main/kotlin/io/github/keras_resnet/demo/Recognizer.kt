package io.github.keras_resnet.demo

import android.content.Context
import android.graphics.Bitmap
import android.media.Image
import android.net.Uri
import android.os.Handler
import android.os.HandlerThread
import android.os.Looper
import io.github.keras_resnet.core.Answer
import io.github.keras_resnet.core.Golden
import io.github.keras_resnet.core.Input
import io.github.keras_resnet.core.Latency
import io.github.keras_resnet.core.Model
import io.github.keras_resnet.core.ModelError
import io.github.keras_resnet.core.Picture
import io.github.keras_resnet.core.PictureError
import io.github.keras_resnet.core.PictureInput
import io.github.keras_resnet.core.Pipeline
import io.github.keras_resnet.core.Places
import io.github.keras_resnet.core.Plane
import io.github.keras_resnet.core.SelfCheck
import io.github.keras_resnet.core.SoundError
import io.github.keras_resnet.core.SoundInput
import io.github.keras_resnet.core.TextInput
import java.io.Closeable
import java.nio.ByteBuffer

/** Where a `Recognizer` says what it found; always on the main thread. */
interface Screen {
    /**
     * @param times a line of milliseconds, and frames/s for the camera's.
     * @param places what lies where on the picture; null where answers have no place.
     */
    fun showAnswers(answers: List<Answer>, times: String, isLive: Boolean, places: Places?)

    /** What the model that was opened takes. */
    fun showInput(input: Input)

    /** What runs, on what, and what had to be taken instead. */
    fun showStatus(text: String)

    fun showPicture(bitmap: Bitmap)

    /** What is wrong; null when nothing is. */
    fun showMessage(text: String?)

    fun showCheck(text: String?)
}

/** The model and everything that takes time, on a thread of its own. */
class Recognizer(context: Context, private val screen: Screen) : Closeable {
    private val context = context.applicationContext
    private val resources = context.resources
    private val store = ModelStore(this.context.assets)
    private val main = Handler(Looper.getMainLooper())
    private val thread = HandlerThread("recognizer").apply { start() }

    /** The thread's, for frames. */
    val handler = Handler(thread.looper)

    @Volatile private var isClosed = false
    @Volatile private var typed = 0 // number of the last text that was typed
    @Volatile private var wanted = 0 // number of the last model that was asked for; no other's answers are shown

    // From here on, of the thread alone.
    private var loaded: Loaded? = null
    private val frame = Picture()
    private val preparing = Latency()
    private val inferring = Latency()
    private val intervals = Latency()
    private var lastFrame = 0L

    private class Loaded(val number: Int, val name: String, val model: Model, val engine: Engine) {
        val pipeline = Pipeline(model)
    }

    /** Opens a model of the assets in place of the one before; on the main thread. */
    fun open(name: String, processor: Processor) {
        val number = ++wanted
        screen.showStatus(resources.getString(R.string.opening))
        screen.showCheck(null)
        handler.post {
            if (number != wanted) return@post // the next one is asked for already
            release()
            attempt(R.string.broken_model, name) {
                val content = store.content(name)
                val model = Model.read(content, name)
                val engine = Engine(content, model, processor, resources)
                loaded = Loaded(number, name, model, engine)
                val status = listOf(title(model, engine)) + listOfNotNull(engine.note) + model.warnings
                say {
                    showInput(model.contract.input)
                    showStatus(status.joinToString("\n"))
                }
            }
        }
    }

    private fun title(model: Model, engine: Engine): String {
        val takes = when (val input = model.contract.input) {
            is PictureInput -> resources.getString(R.string.takes_picture, input.height, input.width)
            is SoundInput -> resources.getString(R.string.takes_sound, input.samples.toDouble() / input.rate, input.rate)
            is TextInput -> resources.getString(R.string.takes_text, input.length)
        }
        return resources.getString(R.string.opened, model.name, takes, engine.processor.name(resources))
    }

    /** Classifies a frame of the camera; on the thread of `handler`. */
    fun classify(image: Image, orientation: Int) {
        val loaded = loaded ?: return
        tolerate {
            val planes = image.planes.map { Plane(it.buffer, it.rowStride, it.pixelStride) }
            classify(loaded, isLive = true, frame) {
                it.setYuv(planes[0], planes[1], planes[2], image.width, image.height, orientation)
            }
        }
    }

    /** Classifies a picture of another app. */
    fun classify(uri: Uri) {
        handler.post {
            tolerate {
                val file = PictureFile.read(context.contentResolver, uri)
                clearTimes()
                say { showMessage(null) }
                // A picture of its own: a large one's memory is not kept.
                loaded?.let { classify(it, isLive = false, Picture(), file::copyTo) }
                val preview = file.preview()
                say { showPicture(preview) }
            }
        }
    }

    /** Records as much as is heard, and classifies it. */
    fun record() {
        handler.post {
            val loaded = loaded ?: return@post
            val sound = loaded.model.contract.input as? SoundInput ?: return@post
            tolerate {
                say { showMessage(resources.getString(R.string.listening)) }
                val recording = Microphone.record(sound.rate, sound.samples)
                say { showMessage(null) }
                answer(loaded) { loaded.pipeline.input(recording) }
            }
        }
    }

    /** Classifies a text; of several that are typed quickly, the last. */
    fun classify(text: String) {
        val number = ++typed
        handler.post {
            val loaded = loaded
            if (number == typed && loaded?.model?.contract?.input is TextInput) {
                tolerate { answer(loaded) { loaded.pipeline.input(text) } }
            }
        }
    }

    /** Runs what an odd picture may end, and says why it did. The model is not to blame, and stays. */
    private fun tolerate(action: () -> Unit) {
        val sentence = try {
            return action()
        } catch (_: NotAPicture) {
            resources.getString(R.string.not_a_picture)
        } catch (error: TooLarge) {
            val most = PictureFile.MOST_PIXELS / 1_000_000
            resources.getString(R.string.picture_too_large, error.width, error.height, most)
        } catch (_: OutOfMemoryError) { // the last resort: this phone has less than most
            resources.getString(R.string.picture_memory)
        } catch (error: PictureError) {
            resources.getString(R.string.not_classified, error.message)
        } catch (error: SoundError) {
            resources.getString(R.string.not_heard, error.message)
        } catch (error: ModelError) { // of its answer
            resources.getString(R.string.not_classified, error.message)
        } catch (error: Exception) { // of files, and of the app that shares them
            resources.getString(R.string.picture_failed, error.message ?: error.javaClass.simpleName)
        }
        say { showMessage(sentence) }
    }

    private fun classify(loaded: Loaded, isLive: Boolean, picture: Picture, fill: (Picture) -> Unit) {
        if (loaded.model.contract.input !is PictureInput) return // a late frame, or a picture that was picked before
        answer(loaded, isLive, picture) {
            fill(picture)
            loaded.pipeline.input(picture)
        }
    }

    private fun answer(loaded: Loaded, isLive: Boolean = false, picture: Picture? = null, prepare: () -> ByteBuffer) {
        val begin = System.nanoTime()
        val input = prepare()
        val prepared = System.nanoTime()
        val output = infer(loaded, input) ?: return
        val end = System.nanoTime()
        preparing.add((prepared - begin) / 1e6)
        inferring.add((end - prepared) / 1e6)
        if (isLive && lastFrame != 0L) intervals.add((end - lastFrame) / 1e6)
        lastFrame = if (isLive) end else 0L
        val places = picture?.let { loaded.pipeline.places(output, it.height, it.width) }
        val answers = loaded.pipeline.answers(output, BarsView.COUNT, places)
        val times = times(isLive)
        say { if (loaded.number == wanted) showAnswers(answers, times, isLive, places) }
    }

    /** The output's bytes, or null where LiteRT failed: it can't be used any more then. */
    private fun infer(loaded: Loaded, input: ByteBuffer): ByteArray? = try {
        loaded.engine.run(input)
    } catch (error: RuntimeException) { // LiteRT's kinds
        release()
        say { showMessage(resources.getString(R.string.inference_failed, error.message)) }
        null
    }

    private fun times(isLive: Boolean): String =
        if (isLive && intervals.count > 0) {
            resources.getString(R.string.times_live, preparing.median, inferring.median, 1000 / intervals.median)
        } else {
            resources.getString(R.string.times, preparing.median, inferring.median)
        }

    /** Replays the golden pictures with the open model on its processor. */
    fun check() {
        handler.post {
            val loaded = loaded ?: return@post say { showCheck(resources.getString(R.string.nothing_to_check)) }
            say { showCheck(resources.getString(R.string.checking)) }
            attempt(R.string.check_failed) {
                val text = store.golden(loaded.name)?.let { check(loaded, it) }
                say { showCheck(text ?: resources.getString(R.string.no_golden, loaded.name)) }
            }
        }
    }

    private fun check(loaded: Loaded, golden: String): String {
        val decode = { png: ByteArray, to: Picture -> PictureFile(png).copyTo(to) }
        val result = SelfCheck.run(loaded.pipeline, Golden.read(golden, loaded.model), decode, loaded.engine::run)
        val text = resources.getString(R.string.check_result, loaded.engine.processor.name(resources), result.text)
        return if (result.passed) text else "$text\n${resources.getString(R.string.check_hint)}"
    }

    /** Runs what can fail, and shows `sentence` with the reason. */
    private fun attempt(sentence: Int, vararg words: String, action: () -> Unit) {
        val reason = try {
            return action()
        } catch (error: ModelError) {
            error.message
        } catch (error: EngineError) {
            error.message
        } catch (_: OutOfMemoryError) {
            resources.getString(R.string.memory)
        } catch (error: Exception) {
            "${error.message}"
        }
        val text = resources.getString(sentence, *words, reason)
        say { if (sentence == R.string.check_failed) showCheck(text) else showStatus(text) }
    }

    private fun clearTimes() {
        listOf(preparing, inferring, intervals).forEach(Latency::clear)
        lastFrame = 0L
    }

    private fun release() {
        loaded?.engine?.close()
        loaded = null
        clearTimes()
    }

    private fun say(words: Screen.() -> Unit) {
        main.post { if (!isClosed) screen.words() }
    }

    /** Lets go of model and thread, after what is under way; nothing is said any more. */
    override fun close() {
        isClosed = true
        handler.removeCallbacksAndMessages(null)
        handler.post(::release)
        thread.quitSafely()
    }
}
