#!/bin/sh
# Compiles core/ and its tests as Gradle would and runs them with JUnit on this machine's JVM.
set -eu
cd "$(dirname "$0")/.."
tools/fetch.sh || { status=$?; [ $status = 77 ] && echo "android-test: skipped" && exit 0; exit $status; }

build=$(mkdir -p ../build/android && cd ../build/android && pwd)
libraries=$(printf '%s:' "$build"/libs/*.jar)

compile() { # output, class path, sources
    rm -rf "$1"
    # JDK 8's methods alone: ByteBuffer.position of later ones is another method, which old phones lack.
    java -cp "$libraries" org.jetbrains.kotlin.cli.jvm.K2JVMCompiler -no-stdlib -no-reflect -Werror \
        -jvm-target 1.8 -Xjdk-release=1.8 -Xfriend-paths="$build/core" -cp "$2" -d "$1" "$3"
}

compile "$build/core" "$(echo "$build"/libs/kotlin-stdlib-[0-9]*.jar)" core/src/main/kotlin
compile "$build/core_test" "$build/core:$libraries" core/src/test/kotlin
tests=$(cd core/src/test/kotlin && find . -name '*Test.kt' | sed 's|^\./||; s|\.kt$||; s|/|.|g' | sort)
# shellcheck disable=SC2086 # one word a test class
java -cp "$build/core_test:$build/core:core/src/test/resources:$libraries" org.junit.runner.JUnitCore $tests
