package io.github.keras_resnet.core

import java.nio.ByteBuffer
import java.nio.ByteOrder

/** A file that can't be used; the message is made of sentences for the screen. */
class ModelError(message: String) : Exception(message)

/** @property lowest its smallest number, where it has 256 of them. */
enum class DataType(val bytes: Int, val lowest: Int) { UINT8(1, 0), INT8(1, -128), FLOAT32(4, 0), INT32(4, 0) }

/**
 * Input or output of a network: `value = (number - zeroPoint) * scale`. Scale is 1 and zero point 0 for FLOAT32.
 *
 * @property place among the network's outputs, as the interpreter counts them.
 */
class Tensor(val shape: List<Int>, val type: DataType, val scale: Float, val zeroPoint: Int, val place: Int = 0) {
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
    /** In the contract's order; their bytes, one after the other, are what is called the output. */
    val outputs: List<Tensor>,
    val warnings: List<String>,
) {
    constructor(name: String, contract: Contract, input: Tensor, output: Tensor, warnings: List<String>) :
        this(name, contract, input, listOf(output), warnings)

    /** The first output. */
    val output: Tensor get() = outputs[0]

    val outputBytes: Int get() = outputs.sumOf { it.bytes }

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
        val inputs = graph.ints(1)
        if (inputs.size != 1) throw ModelError("$name takes ${inputs.size} inputs; expected one picture, recording or text.")
        val input = tensor(tensors[inputs[0]])
        val ours = readAppendedFiles(content)["contract.json"]?.let { json ->
            attempt("The contract in $name can't be used") { readContract(json) }
        }
        val outputs = outputs(model, graph, tensors, ours?.output)
        val wanted = ours?.output?.shapes?.map { it.size + 1 } ?: listOf(2)
        val fits = outputs.map { it.shape.size } == wanted && outputs.all { isBatchOfOne(it.shape, it.shape.size) }
        val rank = 1 + (ours?.input?.shape?.size ?: 3)
        val isOfNumbers = (input.type == DataType.INT32) == (ours?.input is TextInput)
        if (!isBatchOfOne(input.shape, rank) || !fits || !isOfNumbers || (rank == 4 && input.shape[3] !in CHANNELS)) {
            val made = outputs.joinToString { "${it.shape}" }
            throw ModelError(
                "$name is no network that is known here: its input has shape ${input.shape} and its output " +
                    "$made; expected [1, height, width, 1 or 3] and [1, classes], or what its contract says.",
            )
        }
        val metadata = metadata(model)
        val contract = ours?.also { hold(it, input.shape.drop(1), outputs.map { tensor -> tensor.shape.drop(1) }) }
            ?: contract(input, outputs[0].shape[1], metadata, !endsInSoftmax(model, graph))
        return Model(metadata?.text(0) ?: name, contract, input, outputs, warnings)
    }

    /** The outputs that a contract names, by the file's signature, else the first. */
    private fun outputs(model: FlatTable, graph: FlatTable, tensors: List<FlatTable>, rules: Output?): List<Tensor> {
        val there = graph.ints(2)
        val names = rules?.tensors.orEmpty()
        if (names.isEmpty()) return listOf(tensor(tensors[there[0]]))
        val signature = model.tables(7).firstOrNull()?.tables(1).orEmpty().associate { it.text(0) to it.int(1) }
        return names.map { name ->
            val place = there.indexOf(signature[name])
            if (place < 0) throw ModelError("The contract in ${this.name} wants an output $name; its network has none.")
            tensor(tensors[there[place]], place)
        }
    }

    private fun tensor(table: FlatTable, place: Int = 0): Tensor {
        val type = TYPES[table.byte(1)]
            ?: throw ModelError("$name has a tensor of type ${table.byte(1)}; expected uint8, int8 or float32.")
        val quantization = table.table(4)
        val scale = quantization?.floats(2)?.firstOrNull() ?: 0f
        if (scale == 0f) return Tensor(table.ints(0), type, 1f, 0, place) // it is not quantized
        if (!(scale > 0 && scale < Float.POSITIVE_INFINITY)) throw ModelError("$name has a tensor of scale $scale.")
        return Tensor(table.ints(0), type, scale, quantization?.longs(3)?.firstOrNull()?.toInt() ?: 0, place)
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

    private fun contract(input: Tensor, classes: Int, metadata: FlatTable?, isLogits: Boolean): Contract {
        val files = readAppendedFiles(content)
        val (mean, std) = metadata?.let(::normalization) ?: shownNormalization(input).also {
            val isShown = input.type != DataType.FLOAT32
            val taken = if (isShown) "its 256 steps are taken for the pixels 0 to 255" else "taking x = pixel / 127.5 - 1"
            warnings.add("$name says nothing of its scale; $taken.")
        }
        var labels = files.entries.firstOrNull { it.key.endsWith(".txt") }?.value?.let(::readLabels).orEmpty()
        if (labels.size != classes) {
            warnings.add("$name has ${labels.size} labels for $classes classes; numbers stand for classes.")
            labels = List(classes) { it.toString() }
        }
        return attempt("What $name says of its pictures can't be") {
            val (height, width, channels) = input.shape.drop(1)
            Contract(PictureInput(height, width, channels, mean = mean, std = std), Classes(labels, isLogits))
        }
    }

    private fun hold(contract: Contract, shape: List<Int>, made: List<List<Int>>) {
        val wanted = contract.output.shapes
        if (contract.input.shape == shape && wanted == made) return
        val labels = contract.output.labels.size
        if (wanted.map { it.dropLast(1) } == made.map { it.dropLast(1) }) {
            throw ModelError(
                "The contract in $name is of an input ${contract.input.shape} with $labels labels; " +
                    "its network expects $shape and ${made.last().last()} labels.",
            )
        }
        throw ModelError("The contract in $name wants outputs of $wanted; its network makes $made.")
    }

    private fun <T> attempt(failed: String, read: () -> T): T =
        try {
            read()
        } catch (error: ModelError) {
            throw ModelError("$failed: ${error.message}")
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
        val TYPES = mapOf(0 to DataType.FLOAT32, 2 to DataType.INT32, 3 to DataType.UINT8, 9 to DataType.INT8)
    }
}

/**
 * Mean and standard deviation of a network that says nothing of its scale. An 8-bit input's lowest step is taken for a
 * pixel of 0 and its highest one for 255; the Raspberry Pi's reader says in `shown_normalization` why, and when that is
 * no proof. Floats show nothing: theirs is the usual default.
 */
internal fun shownNormalization(input: Tensor): Pair<FloatArray, FloatArray> =
    if (input.type == DataType.FLOAT32) {
        floatArrayOf(127.5f) to floatArrayOf(127.5f)
    } else {
        floatArrayOf((input.zeroPoint - input.type.lowest).toFloat()) to floatArrayOf(1 / input.scale)
    }

/** Class names, one a line; no more of them are taken and none is left out. */
internal fun readLabels(text: String): List<String> {
    val lines = text.removePrefix("\uFEFF").split("\n") // Windows' byte order mark, and below its line ends
    return (if (lines.last() == "") lines.dropLast(1) else lines).map { it.removeSuffix("\r") }
}
