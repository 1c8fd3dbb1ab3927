package io.github.keras_resnet.demo

import android.Manifest
import android.app.Activity
import android.content.ActivityNotFoundException
import android.content.Intent
import android.content.pm.PackageManager
import android.graphics.Bitmap
import android.media.Image
import android.net.Uri
import android.os.Bundle
import android.os.Parcelable
import android.text.Editable
import android.text.TextWatcher
import android.view.View
import android.widget.AdapterView
import android.widget.ArrayAdapter
import android.widget.EditText
import android.widget.ImageView
import android.widget.Spinner
import android.widget.TextView
import io.github.keras_resnet.core.Answer
import io.github.keras_resnet.core.Input
import io.github.keras_resnet.core.PictureInput
import io.github.keras_resnet.core.Places
import io.github.keras_resnet.core.SoundInput
import io.github.keras_resnet.core.TextInput

/** The one screen: the camera or a picture, a microphone's button or a field to type in; answers, times, choices. */
class MainActivity : Activity(), Screen, CameraView.Listener {
    private val camera by lazy { view<CameraView>(R.id.camera) }
    private val pictureView by lazy { view<ImageView>(R.id.picture) }
    private val bars by lazy { view<BarsView>(R.id.bars) }
    private val placesView by lazy { view<PlacesView>(R.id.places) }
    private val modelChoice by lazy { view<Spinner>(R.id.models) }
    private val processorChoice by lazy { view<Spinner>(R.id.processors) }

    private lateinit var recognizer: Recognizer
    private lateinit var models: List<String>
    private val processors = Processor.all()
    private var takes: Input? = null // of the open model
    private var picture: Uri? = null // shown instead of the camera
    private var hasAsked = false // for the camera; a refusal is not asked about again and again
    private var isResumed = false

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        setContentView(R.layout.main)
        recognizer = Recognizer(this, this)
        models = ModelStore(assets).names()
        fill(modelChoice, models)
        fill(processorChoice, processors.map { it.name(resources) })
        view<View>(R.id.camera_button).setOnClickListener { returnToCamera() }
        view<View>(R.id.picture_button).setOnClickListener { pick() }
        view<View>(R.id.record_button).setOnClickListener { record() }
        view<EditText>(R.id.text).addTextChangedListener(object : TextWatcher {
            override fun afterTextChanged(text: Editable) = recognizer.classify(text.toString())

            override fun beforeTextChanged(text: CharSequence, start: Int, count: Int, after: Int) = Unit

            override fun onTextChanged(text: CharSequence, start: Int, before: Int, count: Int) = Unit
        })
        view<View>(R.id.check_button).setOnClickListener { recognizer.check() }
        hasAsked = state?.getBoolean(ASKED) ?: false
        picture = if (state == null) shared(intent) else uri(state.getString(PICTURE))
        if (models.isEmpty()) showStatus(getString(R.string.no_models))
    }

    /** A spinner tells its first choice too, once it is laid out; so a model is opened without more. */
    private fun fill(spinner: Spinner, names: List<String>) {
        spinner.adapter = ArrayAdapter(this, android.R.layout.simple_spinner_item, names).apply {
            setDropDownViewResource(android.R.layout.simple_spinner_dropdown_item)
        }
        spinner.onItemSelectedListener = object : AdapterView.OnItemSelectedListener {
            override fun onItemSelected(parent: AdapterView<*>, view: View?, position: Int, id: Long) = open()

            override fun onNothingSelected(parent: AdapterView<*>) = Unit
        }
    }

    private fun open() {
        val name = models.getOrNull(modelChoice.selectedItemPosition) ?: return
        clear()
        recognizer.open(name, processors[processorChoice.selectedItemPosition])
        picture?.let(recognizer::classify)
    }

    override fun onResume() {
        super.onResume()
        isResumed = true
        showSource()
    }

    override fun onPause() {
        isResumed = false
        camera.stop()
        super.onPause()
    }

    override fun onDestroy() {
        recognizer.close()
        super.onDestroy()
    }

    override fun onSaveInstanceState(state: Bundle) {
        super.onSaveInstanceState(state)
        state.putString(PICTURE, picture?.toString())
        state.putBoolean(ASKED, hasAsked)
    }

    /** Shows what the model takes: a picture, or else the camera, which runs; a button to record with; a field. */
    private fun showSource() {
        val isSeen = takes == null || takes is PictureInput
        show(R.id.shown, isSeen)
        show(R.id.camera_button, isSeen)
        show(R.id.picture_button, isSeen)
        show(R.id.record_button, takes is SoundInput)
        show(R.id.text, takes is TextInput)
        camera.visibility = if (picture == null) View.VISIBLE else View.GONE
        pictureView.visibility = if (picture == null) View.GONE else View.VISIBLE
        if (!isSeen || picture != null) {
            camera.stop()
        } else if (checkSelfPermission(Manifest.permission.CAMERA) == PackageManager.PERMISSION_GRANTED) {
            camera.start(recognizer.handler, this)
        } else if (hasAsked) {
            showMessage(getString(R.string.permission_denied))
        } else {
            hasAsked = true
            requestPermissions(arrayOf(Manifest.permission.CAMERA), CAMERA_REQUEST)
        }
    }

    private fun returnToCamera() {
        picture = null
        hasAsked = false
        showMessage(null)
        clear()
        showSource()
    }

    private fun record() {
        if (checkSelfPermission(Manifest.permission.RECORD_AUDIO) == PackageManager.PERMISSION_GRANTED) {
            recognizer.record()
        } else {
            requestPermissions(arrayOf(Manifest.permission.RECORD_AUDIO), MICROPHONE_REQUEST)
        }
    }

    private fun clear() {
        bars.clear()
        placesView.show(null)
        view<TextView>(R.id.times).text = ""
    }

    override fun onRequestPermissionsResult(request: Int, permissions: Array<out String>, results: IntArray) {
        if (request == MICROPHONE_REQUEST) {
            val isGranted = results.firstOrNull() == PackageManager.PERMISSION_GRANTED
            if (isGranted) recognizer.record() else showMessage(getString(R.string.microphone_denied))
        } else if (isResumed) {
            showSource() // else onResume does
        }
    }

    private fun pick() {
        val intent = Intent(Intent.ACTION_OPEN_DOCUMENT).addCategory(Intent.CATEGORY_OPENABLE).setType("image/*")
        try {
            startActivityForResult(intent, PICTURE_REQUEST)
        } catch (_: ActivityNotFoundException) {
            showMessage(getString(R.string.no_picker))
        }
    }

    override fun onActivityResult(request: Int, result: Int, data: Intent?) {
        val uri = data?.data
        if (request != PICTURE_REQUEST || result != RESULT_OK || uri == null) return
        picture = uri
        showMessage(null)
        clear()
        recognizer.classify(uri)
        if (isResumed) showSource()
    }

    override fun onFrame(image: Image, orientation: Int) = recognizer.classify(image, orientation)

    override fun onCameraMissing(sentence: String) = showMessage(sentence)

    override fun showAnswers(answers: List<Answer>, times: String, isLive: Boolean, places: Places?) {
        val isSeen = takes == null || takes is PictureInput
        if (isSeen && isLive != (picture == null)) return // a late frame, after a picture was picked
        bars.show(answers, isLive)
        placesView.show(places)
        view<TextView>(R.id.times).text = times
    }

    override fun showInput(input: Input) {
        takes = input
        if (input !is PictureInput) showMessage(null)
        if (isResumed) showSource()
        if (input is TextInput) recognizer.classify(view<EditText>(R.id.text).text.toString())
    }

    override fun showPicture(bitmap: Bitmap) = pictureView.setImageBitmap(bitmap)

    override fun showStatus(text: String) = show(R.id.status, text)

    override fun showMessage(text: String?) = show(R.id.message, text)

    override fun showCheck(text: String?) = show(R.id.check, text)

    private fun <T : View> view(id: Int): T = findViewById<T>(id)!!

    private fun show(line: Int, text: String?) {
        val view = view<TextView>(line)
        view.text = text
        view.visibility = if (text == null) View.GONE else View.VISIBLE
    }

    private fun show(id: Int, isThere: Boolean) {
        view<View>(id).visibility = if (isThere) View.VISIBLE else View.GONE
    }

    private companion object {
        const val CAMERA_REQUEST = 1
        const val MICROPHONE_REQUEST = 3
        const val PICTURE_REQUEST = 2
        const val PICTURE = "picture"
        const val ASKED = "asked"

        fun uri(text: String?): Uri? = text?.let(Uri::parse)

        /** The picture that another app shares, or null; any app may send anything. */
        @Suppress("DEPRECATION") // what follows it begins with Android 13
        fun shared(intent: Intent): Uri? = try {
            if (intent.action == Intent.ACTION_SEND) intent.getParcelableExtra<Parcelable>(Intent.EXTRA_STREAM) as? Uri else null
        } catch (_: RuntimeException) { // of a class that is not here
            null
        }
    }
}
