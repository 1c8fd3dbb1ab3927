package io.github.keras_resnet.demo

import android.content.res.Resources
import android.os.Build
import io.github.keras_resnet.core.Model
import java.io.Closeable
import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.tensorflow.lite.Delegate
import org.tensorflow.lite.Interpreter
import org.tensorflow.lite.gpu.CompatibilityList
import org.tensorflow.lite.gpu.GpuDelegate
import org.tensorflow.lite.nnapi.NnApiDelegate

/** LiteRT can't run a model here; the message is LiteRT's reason. */
class EngineError(message: String, cause: Throwable) : Exception(message, cause)

/**
 * LiteRT's interpreter with one model. It must be made, run and closed on one thread: GPUs demand that.
 *
 * @param content a direct buffer with the whole `.tflite`.
 * @throws EngineError the model can't be run, not even on the CPU.
 */
class Engine(content: ByteBuffer, private val model: Model, chosen: Processor, resources: Resources) : Closeable {
    private var delegate: Delegate? = null
    private val interpreter: Interpreter
    private val outputs = model.outputs.map { ByteBuffer.allocateDirect(it.bytes).order(ByteOrder.nativeOrder()) }
    private val places: Map<Int, Any> = model.outputs.indices.associate { model.outputs[it].place to outputs[it] }

    /** What it runs on: what was chosen, or the CPU. */
    val processor: Processor

    /** A sentence that says why it is not what was chosen, or what of it is not known; or null. */
    val note: String?

    init {
        var used = chosen
        var sentence = if (chosen.accelerator == Accelerator.CPU) null else partly(chosen, resources)
        interpreter = try {
            interpreter(content, chosen, resources)
        } catch (error: Throwable) {
            closeDelegate()
            if (chosen.accelerator == Accelerator.CPU || !isExpected(error)) throw wrapped(error)
            used = Processor(Accelerator.CPU, chosen.threads)
            sentence = resources.getString(R.string.fell_back, chosen.name(resources), reason(error))
            try {
                interpreter(content, used, resources)
            } catch (second: Throwable) {
                throw wrapped(second)
            }
        }
        processor = used
        note = sentence
    }

    /** Runs the network; the bytes of its output tensors, one after the other, are the caller's. */
    fun run(input: ByteBuffer): ByteArray {
        run(interpreter, input)
        val bytes = ByteBuffer.allocate(model.outputBytes)
        for (output in outputs) {
            output.rewind()
            bytes.put(output)
        }
        return bytes.array()
    }

    private fun run(interpreter: Interpreter, input: ByteBuffer) {
        outputs.forEach { it.rewind() }
        interpreter.runForMultipleInputsOutputs(arrayOf(input), places)
    }

    override fun close() {
        interpreter.close()
        closeDelegate()
    }

    private fun interpreter(content: ByteBuffer, processor: Processor, resources: Resources): Interpreter {
        val options = Interpreter.Options().setNumThreads(processor.threads)
        delegate = delegate(processor.accelerator, resources)?.also(options::addDelegate)
        val interpreter = Interpreter(content, options)
        try {
            // The first run prepares what later ones use, and shows whether an accelerator does what it promised.
            run(interpreter, ByteBuffer.allocateDirect(model.input.bytes))
        } catch (error: Throwable) {
            interpreter.close()
            throw error
        }
        return interpreter
    }

    private fun closeDelegate() {
        delegate?.close()
        delegate = null
    }
}

private fun delegate(accelerator: Accelerator, resources: Resources): Delegate? = when (accelerator) {
    Accelerator.CPU -> null
    Accelerator.GPU -> {
        val isSupported = CompatibilityList().use { it.isDelegateSupportedOnThisDevice }
        if (!isSupported) throw UnsupportedOperationException(resources.getString(R.string.no_gpu))
        GpuDelegate()
    }
    Accelerator.NNAPI -> {
        if (Build.VERSION.SDK_INT < Build.VERSION_CODES.O_MR1) {
            throw UnsupportedOperationException(resources.getString(R.string.no_nnapi))
        }
        NnApiDelegate()
    }
}

private fun partly(chosen: Processor, resources: Resources) =
    resources.getString(R.string.partly, chosen.name(resources))

/** LiteRT throws several kinds; a phone without its native library, a LinkageError. */
private fun isExpected(error: Throwable) = error is RuntimeException || error is LinkageError

private fun reason(error: Throwable) =
    (error.message ?: error.javaClass.simpleName).trim().lineSequence().first().trimEnd('.')

private fun wrapped(error: Throwable) = if (isExpected(error)) EngineError(reason(error), error) else error
