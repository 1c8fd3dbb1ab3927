package io.github.keras_resnet.demo

import org.junit.Assert.assertEquals
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner

/** Runs with an APK that holds no model. */
@RunWith(RobolectricTestRunner::class)
class NoModelsTest {
    @Test
    fun `an app without models says how one comes in`() {
        Phone().use { phone ->
            assertEquals(
                "The app has no model. On the computer: python -m export runs/NAME --android, then build it again.",
                phone.text(R.id.status),
            )
            phone.tap(R.id.check_button)
            phone.await(R.id.check) { it == "No model is open, so nothing can be checked." }
        }
    }
}
