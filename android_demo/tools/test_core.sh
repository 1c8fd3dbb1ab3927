#!/bin/sh
# Compiles core/ and its tests as Gradle would and runs them with JUnit on this machine's JVM.
set -eu
cd "$(dirname "$0")/.."
tools/fetch.sh || { status=$?; [ $status = 77 ] && echo "android-test: skipped" && exit 0; exit $status; }

build=$(mkdir -p ../build/android && cd ../build/android && pwd)
libraries=$(printf '%s:' "$build"/libs/*.jar)

rm -rf "$build/core" "$build/core_test"
tools/kotlinc.sh "$build/core" "$(echo "$build"/libs/kotlin-stdlib-[0-9]*.jar)" core/src/main/kotlin
tools/kotlinc.sh "$build/core_test" "$build/core:$libraries" core/src/test/kotlin -Xfriend-paths="$build/core"
tests=$(cd core/src/test/kotlin && find . -name '*Test.kt' | sed 's|^\./||; s|\.kt$||; s|/|.|g' | sort)
# shellcheck disable=SC2086 # one word a test class
java -cp "$build/core_test:$build/core:core/src/test/resources:$libraries" org.junit.runner.JUnitCore $tests
