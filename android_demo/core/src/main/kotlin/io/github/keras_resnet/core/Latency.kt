package io.github.keras_resnet.core

/** Median and 90th percentile of the last `capacity` times, in the unit that was added; 0 while there is none. */
class Latency(capacity: Int = 100) {
    private val times = DoubleArray(capacity)
    private var next = 0

    var count = 0
        private set
    val median: Double get() = percentile(0.5)
    val p90: Double get() = percentile(0.9)

    fun add(time: Double) {
        times[next] = time
        next = (next + 1) % times.size
        count = minOf(count + 1, times.size)
    }

    fun clear() {
        next = 0
        count = 0
    }

    /** Interpolated between neighbours, as numpy does. */
    private fun percentile(part: Double): Double {
        if (count == 0) return 0.0
        val sorted = times.copyOf(count).apply { sort() }
        val place = part * (count - 1)
        val below = place.toInt()
        val above = minOf(below + 1, count - 1)
        return sorted[below] + (place - below) * (sorted[above] - sorted[below])
    }
}
