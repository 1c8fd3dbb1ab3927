#!/bin/sh
# Compiles Kotlin as Gradle would:  tools/kotlinc.sh OUTPUT CLASS_PATH SOURCES [OPTION…]    after tools/fetch.sh
set -eu
libraries=$(cd "$(dirname "$0")/../../build/android/libs" && pwd)
output=$1 class_path=$2 sources=$3
shift 3
# JDK 8's methods alone: ByteBuffer.position of later ones is another method, which old phones lack.
exec java -cp "$(printf '%s:' "$libraries"/*.jar)" org.jetbrains.kotlin.cli.jvm.K2JVMCompiler -no-stdlib -no-reflect \
    -Werror -jvm-target 1.8 -Xjdk-release=1.8 "$@" -cp "$class_path" -d "$output" "$sources"
