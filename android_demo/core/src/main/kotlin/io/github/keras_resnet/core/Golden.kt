package io.github.keras_resnet.core

import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.io.encoding.Base64
import kotlin.io.encoding.ExperimentalEncodingApi

/**
 * One golden example: a file (PNG, WAV or text) and the bytes (native order) that entered and left the interpreter in
 * Python.
 */
class GoldenExample(val file: ByteArray, val input: ByteArray, val output: ByteArray)

/** The golden set beside a model, `NAME.golden.json`. */
class Golden(val examples: List<GoldenExample>) {
    companion object {
        /** @throws ModelError the text is no golden set, or not of this model. */
        fun read(json: String, model: Model): Golden {
            val saved = parseJson(json) as? Map<*, *>
            val (name, kind) = when (model.contract.input) {
                is PictureInput -> "pictures" to "png"
                is SoundInput -> "sounds" to "wav"
                is TextInput -> "texts" to "txt"
            }
            val entries = (saved?.get(name) as? List<*>).orEmpty()
            if (entries.isEmpty()) throw ModelError("No golden set: it has no $name.")
            val examples = entries.map { entry ->
                val fields = entry as? Map<*, *>
                GoldenExample(decoded(fields?.get(kind)), decoded(fields?.get("input")), output(fields, model))
            }
            val input = model.input.bytes
            if (examples.any { it.input.size != input || it.output.size != model.outputBytes }) {
                throw ModelError("This golden set is of another model than ${model.name}.")
            }
            return Golden(examples)
        }

        /** The output's bytes: numbers one by one, or encoded, by name where there are several. */
        private fun output(fields: Map<*, *>?, model: Model): ByteArray {
            val named = fields?.get("outputs") as? Map<*, *>
            if (named != null) {
                return model.contract.output.tensors.map { decoded(named[it]) }.fold(ByteArray(0), ByteArray::plus)
            }
            val output = fields?.get("output")
            return if (output is String) decoded(output) else bytes((output as? List<*>).orEmpty().filterIsInstance<Double>(), model.output)
        }

        @OptIn(ExperimentalEncodingApi::class) // Java's own is missing before Android 8
        private fun decoded(text: Any?): ByteArray =
            try {
                Base64.decode(text as? String ?: "")
            } catch (error: IllegalArgumentException) {
                throw ModelError("No golden set: ${error.message}.")
            }

        private fun bytes(numbers: List<Double>, tensor: Tensor): ByteArray {
            val buffer = ByteBuffer.allocate(numbers.size * tensor.type.bytes).order(ByteOrder.nativeOrder())
            for (number in numbers) {
                if (tensor.type == DataType.FLOAT32) buffer.putFloat(number.toFloat()) else buffer.put(number.toInt().toByte())
            }
            return buffer.array()
        }
    }
}
