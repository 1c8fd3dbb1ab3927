package io.github.keras_resnet.core

import java.nio.ByteBuffer
import java.nio.ByteOrder

/** A file that can't be used; the message is made of sentences for the screen. */
class ModelError(message: String) : Exception(message)

enum class DataType(val bytes: Int) { UINT8(1), INT8(1), FLOAT32(4) }

/** Input or output of a network: `value = (number - zeroPoint) * scale`. Scale is 1 and zero point 0 for FLOAT32. */
class Tensor(val shape: List<Int>, val type: DataType, val scale: Float, val zeroPoint: Int) {
    val bytes: Int get() = shape.fold(type.bytes) { product, n -> product * n }
}

/**
 * What a `.tflite` says of itself.
 *
 * @property name of the standard metadata, or what `read` was given.
 * @property warnings sentences for the screen: what the file does not say, and what was taken instead.
 */
class Model(
    val name: String,
    val contract: Contract,
    val input: Tensor,
    val output: Tensor,
    val warnings: List<String>,
) {
    companion object {
        /**
         * Reads our `contract.json` in the zip behind the model; else standard TFLite Metadata and its labels; else
         * takes the usual defaults and says so in `warnings`.
         *
         * @param content the whole file, as mapped or read, from the buffer's position on; the position stays.
         * @param name what to call the model where it has no name.
         * @throws ModelError no `.tflite`, or no image classifier with uint8, int8 or float32 tensors.
         */
        fun read(content: ByteBuffer, name: String): Model =
            try {
                ModelReader(content.slice().order(ByteOrder.LITTLE_ENDIAN), name).read()
            } catch (error: IndexOutOfBoundsException) {
                throw ModelError("$name is no .tflite, or a broken one.")
            }
    }
}

private class ModelReader(private val content: ByteBuffer, private val name: String) {
    private val warnings = ArrayList<String>()

    fun read(): Model {
        if (content.limit() < 8 || content.getInt(4) != TFL3) throw ModelError("$name is no .tflite.")
        val model = FlatTable.root(content)
        val graph = model.tables(2).firstOrNull() ?: throw ModelError("$name holds no network.")
        val tensors = graph.tables(0)
        val input = tensor(tensors[graph.ints(1)[0]])
        val output = tensor(tensors[graph.ints(2)[0]])
        if (!isBatchOfOne(input.shape, 4) || !isBatchOfOne(output.shape, 2) || input.shape[3] !in CHANNELS) {
            throw ModelError(
                "$name is no image classifier: its input has shape ${input.shape} and its output ${output.shape}; " +
                    "expected [1, height, width, 1 or 3] and [1, classes].",
            )
        }
        val metadata = metadata(model)
        val contract = contract(input.shape, output.shape[1], metadata, !endsInSoftmax(model, graph))
        if (!isUsable(contract, input)) {
            throw ModelError(
                "$name says of its pictures: mean ${contract.mean.toList()}, std ${contract.std.toList()}, crop " +
                    "${contract.cropFraction}, scale ${input.scale}; expected one number or ${contract.channels}, " +
                    "no std or scale of 0, and a crop of more than 0 and at most 1.",
            )
        }
        return Model(metadata?.text(0) ?: name, contract, input, output, warnings)
    }

    private fun isUsable(contract: Contract, input: Tensor): Boolean {
        val sizes = listOf(1, contract.channels)
        return contract.mean.size in sizes && contract.std.size in sizes && contract.std.all { it != 0f } &&
            input.scale > 0 && contract.cropFraction > 0 && contract.cropFraction <= 1
    }

    private fun tensor(table: FlatTable): Tensor {
        val type = TYPES[table.byte(1)]
            ?: throw ModelError("$name has a tensor of type ${table.byte(1)}; expected uint8, int8 or float32.")
        val quantization = table.table(4)
        val scale = quantization?.floats(2)?.firstOrNull() ?: 1f
        return Tensor(table.ints(0), type, scale, quantization?.longs(3)?.firstOrNull()?.toInt() ?: 0)
    }

    private fun isBatchOfOne(shape: List<Int>, rank: Int) =
        shape.size == rank && shape[0] == 1 && shape.all { it > 0 } &&
            shape.fold(1.0) { product, n -> product * n } <= MOST_NUMBERS

    /** The root of the standard's `ModelMetadata`. */
    private fun metadata(model: FlatTable): FlatTable? {
        val entry = model.tables(6).firstOrNull { it.text(0) == "TFLITE_METADATA" } ?: return null
        return model.tables(4)[entry.int(1)].nested(0)
    }

    /** Whether the last operator, changes of type aside, is a softmax. */
    private fun endsInSoftmax(model: FlatTable, graph: FlatTable): Boolean {
        val kinds = model.tables(1).map { maxOf(it.byte(0), it.int(3)) }
        val makers = graph.tables(3).flatMap { operator -> operator.ints(2).map { it to operator } }.toMap()
        var tensor = graph.ints(2)[0]
        repeat(makers.size) {
            val maker = makers[tensor] ?: return false
            val kind = kinds[maker.int(0)]
            if (kind !in CHANGES_OF_TYPE) return kind == SOFTMAX
            tensor = maker.ints(1)[0]
        }
        return false
    }

    private fun contract(shape: List<Int>, classes: Int, metadata: FlatTable?, isLogits: Boolean): Contract {
        val files = readAppendedFiles(content)
        files["contract.json"]?.let { return ours(it, shape, classes) }

        val scale = metadata?.let(::normalization)
        if (scale == null) warnings.add("$name says nothing of its scale; taking x = pixel / 127.5 - 1.")
        var labels = files.entries.firstOrNull { it.key.endsWith(".txt") }?.value?.split("\n")?.take(classes)
        if (labels?.size != classes) {
            warnings.add("$name has no $classes labels; numbers stand for classes.")
            labels = List(classes) { it.toString() }
        }
        val (mean, std) = scale ?: (floatArrayOf(127.5f) to floatArrayOf(127.5f))
        return Contract(shape[1], shape[2], shape[3], labels!!, mean = mean, std = std, isLogits = isLogits)
    }

    private fun ours(json: String, shape: List<Int>, classes: Int): Contract {
        val saved = parseJson(json) as? Map<*, *>
        val size = listOf("height", "width", "channels").map { (saved?.get(it) as? Double)?.toInt() }
        val labels = (saved?.get("labels") as? List<*>)?.filterIsInstance<String>()
        if (size != shape.drop(1) || labels?.size != classes) {
            throw ModelError(
                "The contract in $name is of a picture $size with ${labels?.size} labels; " +
                    "its network expects ${shape.drop(1)} and $classes labels.",
            )
        }
        fun numbers(key: String) = when (val value = saved[key]) {
            is Double -> floatArrayOf(value.toFloat())
            is List<*> -> value.filterIsInstance<Double>().map { it.toFloat() }.toFloatArray()
            else -> floatArrayOf(128f)
        }
        return Contract(
            shape[1], shape[2], shape[3], labels,
            cropFraction = saved["crop_fraction"] as? Double ?: 1.0,
            mean = numbers("mean"),
            std = numbers("std"),
            isLogits = (saved["output"] ?: "logits") == "logits",
        )
    }

    /** Mean and standard deviation of the first input in the standard metadata. */
    private fun normalization(metadata: FlatTable): Pair<FloatArray, FloatArray>? {
        val units = metadata.tables(3).firstOrNull()?.tables(2)?.firstOrNull()?.tables(4).orEmpty()
        val options = units.firstOrNull { it.byte(0) == NORMALIZATION }?.table(1) ?: return null
        return options.floats(0).toFloatArray() to options.floats(1).toFloatArray()
    }

    private companion object {
        const val TFL3 = 0x334c4654 // "TFL3"
        const val MOST_NUMBERS = 1 shl 26 // more in one tensor is a broken file
        val CHANNELS = listOf(1, 3)
        const val SOFTMAX = 25 // of the schema's BuiltinOperator
        val CHANGES_OF_TYPE = listOf(6, 114) // DEQUANTIZE, QUANTIZE
        const val NORMALIZATION = 1 // of the schema's union ProcessUnitOptions
        val TYPES = mapOf(0 to DataType.FLOAT32, 3 to DataType.UINT8, 9 to DataType.INT8)
    }
}
