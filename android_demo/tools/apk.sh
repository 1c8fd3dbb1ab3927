#!/bin/sh
# Builds a debug APK without Gradle and without an SDK, and checks it:  tools/apk.sh  ->  build/android/demo.apk
# Debian's aapt2, zipalign and apksigner, the Kotlin compiler, D8 and TensorFlow Lite from Maven Central.
# One line a check; exit status 1 when one fails; skipped, loudly, where the packages can't be had.
set -eu
cd "$(dirname "$0")/.."

skip() {
    echo "apk: SKIPPED: $1"
    exit 0
}

check() { # what is said, command: passes or ends everything
    said=$1
    shift
    set +e # a shell forgets `set -e` inside an `if`
    (set -e; "$@") >"$build/check.log" 2>&1
    status=$?
    set -e
    if [ $status = 0 ]; then echo "ok      $said"; return; fi
    echo "FAILED  $said"
    head -n 40 "$build/check.log"
    exit 1
}

build=$(mkdir -p ../build/android && cd ../build/android && pwd)
app=app/src/main
framework=/usr/share/android-framework-res/framework-res.apk
apk=$build/demo.apk

install_tools() {
    if command -v aapt2 apksigner zipalign dexdump unzip zip >/dev/null && [ -f $framework ]; then return; fi
    packages="aapt android-framework-res apksigner zipalign dexdump unzip zip"
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then skip "as root: apt-get install $packages"; fi
    # shellcheck disable=SC2086 # one word a package
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends $packages; } >"$build/apt.log" 2>&1 ||
        skip "apt-get could not install $packages"
}

fetch() { # pom, folder
    tools/fetch.sh "tools/$1" "$build/$2" || { [ $? = 77 ] && skip "see above"; exit 1; }
}

install_tools
fetch pom.xml libs
fetch android.xml sdk

android=$(echo "$build"/sdk/android-all-*.jar)
stdlib=$(echo "$build"/libs/kotlin-stdlib-*.jar)
work=$build/apk
rm -rf "$work" "$apk"
mkdir -p "$work/aar" "$work/classes" "$work/root/lib"

unpack_litert() {
    for aar in "$build"/sdk/*.aar; do
        name=$(basename "$aar" .aar)
        unzip -q -p "$aar" classes.jar >"$work/aar/$name.jar"
        for abi in arm64-v8a armeabi-v7a x86_64; do
            unzip -q -o -j "$aar" "jni/$abi/*" -d "$work/root/lib/$abi" || [ $? = 11 ] # it holds none
        done
    done
}

# Gradle takes the package from `namespace`; Debian's aapt2 wants it in the manifest, and is older than
# <uses-native-library> (Android 12).
manifest() {
    sed -e 's|<manifest |<manifest package="io.github.keras_resnet.demo" |' -e '/<uses-native-library/d' \
        $app/AndroidManifest.xml >"$work/AndroidManifest.xml"
    aapt2 compile --dir $app/res -o "$work/res.zip"
    aapt2 link -I $framework --manifest "$work/AndroidManifest.xml" --java "$work/gen" -o "$work/linked.apk" \
        --min-sdk-version 24 --target-sdk-version 35 --version-code 1 --version-name 0.1.0 --debug-mode "$work/res.zip"
    find "$work/gen" -name R.java -exec javac -nowarn --release 8 -d "$work/classes" {} +
}

dex() {
    (cd "$work/classes" && zip -q -r ../classes.zip .)
    java -cp "$build"/sdk/r8-*.jar com.android.tools.r8.D8 --debug --min-api 24 --lib "$android" \
        --output "$work/root" "$work/classes.zip" "$stdlib" "$work"/aar/*.jar
}

package() {
    cp "$work/linked.apk" "$work/unaligned.apk"
    cp -r $app/assets "$work/root/"
    # Native libraries and models are stored: the phone maps them from the APK.
    (cd "$work/root" && zip -q -r -n .so:.tflite ../unaligned.apk .)
    zipalign -p -f 4 "$work/unaligned.apk" "$apk"
}

sign() {
    key=$build/debug.keystore
    [ -f "$key" ] || keytool -genkeypair -keystore "$key" -storepass android -keypass android -alias debug \
        -keyalg RSA -keysize 2048 -validity 10000 -dname CN=Debug
    apksigner sign --ks "$key" --ks-pass pass:android --min-sdk-version 24 "$apk"
}

stored() { # every model and library of the APK uncompressed
    unzip -v "$apk" >"$work/list"
    for pattern in 'lib/.*\.so$' 'assets/models/.*\.tflite$'; do
        [ "$(grep -c "$pattern" "$work/list")" -gt 0 ]
        [ "$(grep "$pattern" "$work/list" | grep -c -v Stored)" = 0 ]
    done
}

has() { # text, command: its output holds the text
    text=$1
    shift
    "$@" >"$work/output" 2>/dev/null
    grep -q -F "$text" "$work/output"
}

badging() { has "$1" aapt2 dump badging "$apk"; }

versions_agree() { # what is compiled with here is what Gradle would take
    for name in kotlin junit; do
        version=$(sed -n "s/^$name = \"\(.*\)\"/\1/p" gradle/libs.versions.toml)
        grep "<version>$version</version>" tools/pom.xml
    done
}

check "Kotlin and JUnit are Gradle's versions" versions_agree
check "core compiles, without any android.*" tools/kotlinc.sh "$work/classes" "$stdlib" core/src/main/kotlin
check "LiteRT's classes and native libraries are unpacked" unpack_litert
check "resources and manifest link" manifest
check "app compiles against Android 15, warnings are errors" \
    tools/kotlinc.sh "$work/classes" "$work/classes:$android:$stdlib:$(printf '%s:' "$work"/aar/*.jar)" $app/kotlin
check "D8 makes the dex, for Android 7 on" dex
check "the APK is packed and aligned" package
check "signed" sign
check "apksigner verifies it" apksigner verify --min-sdk-version 24 --print-certs "$apk"
check "zipalign: entries are aligned, libraries by pages" zipalign -c -p 4 "$apk"
check "package, SDKs 24 and 35" badging "package: name='io.github.keras_resnet.demo'"
check "…minSdk 24" badging "sdkVersion:'24'"
check "…targetSdk 35" badging "targetSdkVersion:'35'"
check "…launches MainActivity" badging "launchable-activity: name='io.github.keras_resnet.demo.MainActivity'"
check "…native code for three kinds of CPU" badging "native-code: 'arm64-v8a' 'armeabi-v7a' 'x86_64'"
check "MainActivity is in the dex" has "Class descriptor  : 'Lio/github/keras_resnet/demo/MainActivity;'" dexdump "$apk"
check "core is in the dex" has "Class descriptor  : 'Lio/github/keras_resnet/core/SelfCheck;'" dexdump "$apk"
check "LiteRT is in the dex" has "Class descriptor  : 'Lorg/tensorflow/lite/Interpreter;'" dexdump "$apk"
check "models and libraries are stored uncompressed" stored
echo "apk: $(stat -c %s "$apk") bytes, build/android/demo.apk"
