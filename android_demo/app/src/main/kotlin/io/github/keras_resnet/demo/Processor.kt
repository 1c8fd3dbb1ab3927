package io.github.keras_resnet.demo

import android.content.res.Resources

enum class Accelerator { CPU, GPU, NNAPI }

/** What a model runs on: so many threads of the CPU, or an accelerator that leaves to them what it can't do. */
class Processor(val accelerator: Accelerator, val threads: Int) {
    fun name(resources: Resources): String = when (accelerator) {
        Accelerator.CPU -> resources.getQuantityString(R.plurals.cpu, threads, threads)
        Accelerator.GPU -> resources.getString(R.string.gpu)
        Accelerator.NNAPI -> resources.getString(R.string.nnapi)
    }

    companion object {
        private const val MOST_THREADS = 8

        /** What can be chosen; two threads come first, for that is the quickest on most phones' small models. */
        fun all(cores: Int = Runtime.getRuntime().availableProcessors()): List<Processor> {
            val usual = minOf(2, cores)
            val threads = generateSequence(1) { 2 * it }.takeWhile { it <= minOf(cores, MOST_THREADS) } - usual
            return (sequenceOf(usual) + threads).map { Processor(Accelerator.CPU, it) }.toList() +
                Processor(Accelerator.GPU, usual) + Processor(Accelerator.NNAPI, usual)
        }
    }
}
