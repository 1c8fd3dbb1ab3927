package io.github.keras_resnet.demo

import android.content.Context
import android.graphics.Canvas
import android.graphics.Paint
import android.text.TextPaint
import android.text.TextUtils
import android.util.AttributeSet
import android.view.View
import io.github.keras_resnet.core.Answer
import kotlin.math.roundToInt

/** The answers, each a bar as long as its probability. It grows with them and with the user's text size. */
class BarsView(context: Context, attributes: AttributeSet?) : View(context, attributes) {
    private val text = TextPaint(Paint.ANTI_ALIAS_FLAG).apply {
        textSize = resources.getDimension(R.dimen.bar_text)
        color = context.getColor(R.color.text)
    }
    private val bar = Paint().apply { color = context.getColor(R.color.bar) }
    private val background = Paint().apply { color = context.getColor(R.color.bar_background) }
    private val padding = resources.getDimension(R.dimen.bar_padding)
    private val gap = resources.getDimension(R.dimen.bar_gap)
    private val barHeight = text.fontMetrics.let { it.descent - it.ascent } + 2 * padding
    private var answers = emptyList<Answer>()

    init {
        contentDescription = resources.getString(R.string.no_answers)
    }

    /** Shows answers. A picture's are read out as they come; the camera's change too often for that. */
    fun show(answers: List<Answer>, isLive: Boolean) {
        if (answers.size != this.answers.size) requestLayout()
        this.answers = answers
        accessibilityLiveRegion = if (isLive) ACCESSIBILITY_LIVE_REGION_NONE else ACCESSIBILITY_LIVE_REGION_POLITE
        val words = describe(answers)
        if (words != contentDescription) contentDescription = words
        invalidate()
    }

    fun clear() = show(emptyList(), isLive = true)

    private fun describe(answers: List<Answer>): String {
        if (answers.isEmpty()) return resources.getString(R.string.no_answers)
        return answers.joinToString("; ") {
            resources.getString(R.string.answer, marked(it), (100 * it.probability).roundToInt())
        }
    }

    private fun marked(answer: Answer) =
        if (answer.isThere) resources.getString(R.string.there, answer.label) else answer.label

    private fun bars() = maxOf(COUNT, answers.size)

    override fun onMeasure(widthSpec: Int, heightSpec: Int) {
        val height = (bars() * (barHeight + gap)).roundToInt()
        setMeasuredDimension(getDefaultSize(suggestedMinimumWidth, widthSpec), resolveSize(height, heightSpec))
    }

    override fun onDraw(canvas: Canvas) {
        for (i in 0 until bars()) {
            val top = i * (barHeight + gap)
            canvas.drawRect(0f, top, width.toFloat(), top + barHeight, background)
            answers.getOrNull(i)?.let { draw(canvas, it, top) }
        }
    }

    private fun draw(canvas: Canvas, answer: Answer, top: Float) {
        canvas.drawRect(0f, top, (width * answer.probability).toFloat(), top + barHeight, bar)
        val percent = resources.getString(R.string.percent, 100 * answer.probability)
        val percentWidth = text.measureText(percent)
        val baseline = top + padding - text.fontMetrics.ascent
        val room = width - percentWidth - 3 * padding
        val label = TextUtils.ellipsize(marked(answer), text, room, TextUtils.TruncateAt.END)
        canvas.drawText(label.toString(), padding, baseline, text)
        canvas.drawText(percent, width - percentWidth - padding, baseline, text)
    }

    companion object {
        /** How many answers it has room for at least. */
        const val COUNT = 5
    }
}
