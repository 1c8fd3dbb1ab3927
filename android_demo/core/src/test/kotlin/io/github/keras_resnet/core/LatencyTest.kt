package io.github.keras_resnet.core

import org.junit.Assert.assertEquals
import org.junit.Test

class LatencyTest {
    @Test
    fun `median and 90th percentile as numpy interpolates them`() {
        val latency = Latency(5)
        listOf(3.0, 1.0, 2.0, 10.0).forEach(latency::add)
        assertEquals(4, latency.count)
        assertEquals(2.5, latency.median, 0.0)
        assertEquals(7.9, latency.p90, 1e-9) // np.percentile([3, 1, 2, 10], 90)
    }

    @Test
    fun `the oldest times are forgotten`() {
        val latency = Latency(3)
        listOf(100.0, 100.0, 1.0, 2.0, 3.0).forEach(latency::add)
        assertEquals(3, latency.count)
        assertEquals(2.0, latency.median, 0.0)
        latency.clear()
        assertEquals(0, latency.count)
        assertEquals(0.0, latency.median, 0.0)
    }
}
