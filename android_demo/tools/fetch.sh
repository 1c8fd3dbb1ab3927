#!/bin/sh
# Fetches the jars that a pom names, with all that they need, and keeps them:
#   tools/fetch.sh [POM [FOLDER]]      default: tools/pom.xml (Kotlin compiler, JUnit) into build/android/libs
# Installs Debian's JDK and Maven where they are missing and it runs as root.
# Exit status 77: packages can't be had here; the reason is printed, and whoever called skips.
set -eu
tools=$(cd "$(dirname "$0")" && pwd)
pom=${1:-$tools/pom.xml}
folder=${2:-$tools/../../build/android/libs}

skip() {
    echo "SKIPPED: $1" >&2
    exit 77
}

if ! command -v javac >/dev/null || ! command -v mvn >/dev/null; then
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null ||
        skip "no JDK and Maven; as root: apt-get install default-jdk-headless maven"
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends default-jdk-headless maven; } >/dev/null 2>&1 ||
        skip "apt-get could not install default-jdk-headless and maven"
fi

cmp -s "$pom" "$folder/fetched.xml" && exit 0
rm -rf "$folder"
mkdir -p "$folder"
echo "fetching the packages of $pom"
mvn -q -B -f "$pom" dependency:copy-dependencies -DoutputDirectory="$folder" >"$folder/log" 2>&1 || {
    grep -m 1 ERROR "$folder/log" | cut -c 1-300 >&2
    skip "Maven could not fetch the packages of $pom"
}
cp "$pom" "$folder/fetched.xml"
