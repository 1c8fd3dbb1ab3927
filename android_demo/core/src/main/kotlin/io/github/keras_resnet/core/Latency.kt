package io.github.keras_resnet.core

/** Median and 90th percentile of the last `capacity` times, in the unit that was added. */
class Latency(private val capacity: Int = 100) {
    val count: Int get() = TODO()
    val median: Double get() = TODO()
    val p90: Double get() = TODO()

    fun add(time: Double) {
        TODO()
    }

    fun clear() {
        TODO()
    }
}
