#!/bin/sh
# Runs the app of build/android/demo.apk (tools/apk.sh) on this machine's JVM: Robolectric is the phone, with Android's
# own framework, drawing and decoders; the APK's own x86_64 library of LiteRT infers. Screens go to
# build/android/screens. What stands in for a C library and for androidx.test is in tools/jvm.
set -eu
cd "$(dirname "$0")/.."

skip() {
    echo "app tests: SKIPPED: $1"
    exit 0
}

build=$(cd ../build/android 2>/dev/null && pwd) || skip "no build/android; run tools/apk.sh first"
[ -f "$build/demo.apk" ] || skip "no build/android/demo.apk; run tools/apk.sh first"
[ "$(uname -sm)" = "Linux x86_64" ] || skip "the APK's library runs on Linux x86_64 alone, this is $(uname -sm)"
if ! command -v gcc >/dev/null; then
    [ "$(id -u)" = 0 ] || skip "no gcc"
    apt-get install -y -qq --no-install-recommends gcc libc6-dev >/dev/null 2>&1 || skip "apt-get could not install gcc"
fi
tools/fetch.sh tools/robolectric.xml "$build/robolectric" || { [ $? = 77 ] && skip "see above"; exit 1; }

work=$build/app_test
native=$work/native
rm -rf "$work" "$build/screens"
mkdir -p "$native" "$work/classes/com/android/tools" "$work/apk/assets/models"
android=$(echo "$build"/sdk/android-all-*.jar)
tools=$(printf '%s:' "$build"/libs/*.jar)
app=$build/apk/classes:$(printf '%s:' "$build"/apk/aar/*.jar)
robolectric=$(find "$build/robolectric" -name '*.jar' ! -name 'android-all-*' -printf '%p:')

# Android's library asks for Android's libraries by name; glibc's, which are loaded already, answer.
gcc -shared -fPIC -O1 -Wall -Werror -o "$native/libbionic.so" tools/jvm/bionic.c -ldl
for name in libc libm libdl liblog; do
    gcc -shared -Wl,-soname,$name.so -Wl,--no-as-needed -o "$native/$name.so" -lm
done
python3 tools/jvm/unversion.py "$build/apk/root/lib/x86_64/libtensorflowlite_jni.so" "$native/libtensorflowlite_jni.so"

# The APK as it is, and broken models besides, and small ones of all inputs and outputs.
models=$work/apk/assets/models
cp "$build/demo.apk" "$work/broken.apk"
: >"$models/zz-empty.tflite"
echo "this is text" >"$models/zz-text.tflite"
head -c 20000 app/src/main/assets/models/digits-resnet8.tflite >"$models/zz-cut.tflite"
python3 tools/jvm/future.py app/src/main/assets/models/digits-resnet8.tflite "$models/zz-future.tflite"
cp core/src/test/resources/models/* "$models/" # of boxes, masks, sounds and texts
(cd "$work/apk" && zip -q -r -0 ../broken.apk assets)

find tools/jvm/androidx -name '*.java' -exec javac -nowarn --release 8 -cp "$android" -d "$work/classes" {} +
tools/kotlinc.sh "$work/classes" "$app$android:$robolectric$tools" app/src/jvmTest/kotlin
cp -r app/src/jvmTest/resources/. "$work/classes"

run() { # APK, test classes
    printf '%s\n' "android_resource_apk=$1" "android_merged_manifest=$build/apk/AndroidManifest.xml" \
        "android_custom_package=io.github.keras_resnet.demo" >"$work/classes/com/android/tools/test_config.properties"
    shift
    LD_PRELOAD=$native/libbionic.so LD_LIBRARY_PATH=$native java -Djava.library.path="$native" \
        --add-opens=java.base/java.io=ALL-UNNAMED --add-opens=java.base/java.lang=ALL-UNNAMED \
        -Drobolectric.offline=true -Drobolectric.dependency.dir="$build/robolectric" -Dscreens="$build/screens" \
        -cp "$work/classes:$app$robolectric$tools:$android" org.junit.runner.JUnitCore "$@" 2>"$work/log" || {
        tail -n 40 "$work/log"
        exit 1
    }
}

package=io.github.keras_resnet.demo
run "$work/broken.apk" $package.ChoicesTest $package.InputsTest $package.LiteRtTest $package.MainActivityTest $package.PictureFileTest \
    $package.PlacesViewTest
run "$build/apk/linked.apk" $package.NoModelsTest
