#!/usr/bin/env bash
# The exported files on 64-bit Arm without an Arm machine: `make arm-test`.
#
# The device's verify and predict run once here and once under qemu, as on the processors of a Pi 4 and a Pi 5, with the
# same LiteRT, NumPy and Pillow, and must say the same of int8 files to the last bit. (Float arithmetic differs between
# processors; how far is printed.) LiteRT 2.1.6 is the newest that runs under qemu 7.2; requirements.txt, for a Pi, has
# a newer one. It needs root on Debian, for packages; elsewhere it says why it is skipped. Downloads stay in build/arm.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
pins=(ai-edge-litert==2.1.6 $(grep -v ai-edge-litert keras_resnet/device/requirements.txt))
pins+=(backports.strenum flatbuffers protobuf typing_extensions)
key=$(echo "${pins[@]}" | md5sum | cut -c1-8)
build=$PWD/build/arm
root=$build/root site=$build/site-$key venv=$build/venv-$key copied=$build/copied
export PYTHONDONTWRITEBYTECODE=1

skip() {
    echo "arm-test: SKIPPED, $1" >&2
    exit 0
}

install_packages() {
    command -v qemu-aarch64-static >/dev/null && command -v debootstrap >/dev/null && return
    [ "$(id -u)" = 0 ] || skip "it needs root to install qemu-user-static and debootstrap"
    command -v apt-get >/dev/null || skip "it needs Debian's packages, and apt-get is not here"
    export DEBIAN_FRONTEND=noninteractive
    apt-get -q -o DPkg::Lock::Timeout=600 update >"$build/apt.log" 2>&1 || true
    apt-get -q -y -o DPkg::Lock::Timeout=600 install --no-install-recommends qemu-user-static debootstrap \
        >>"$build/apt.log" 2>&1 || skip "qemu-user-static and debootstrap can't be had (build/arm/apt.log)"
}

# Debian's Python for Arm, unpacked; nothing in it is run to set it up. Each folder gets its name when it is complete.
make_root() {
    rm -rf "$root.part"
    debootstrap --foreign --arch=arm64 --variant=minbase \
        --include=python3.11-minimal,libpython3.11-stdlib,libstdc++6 bookworm "$root.part" >"$build/debootstrap.log" 2>&1 &&
        for package in "$root.part"/var/cache/apt/archives/*.deb; do dpkg -x "$package" "$root.part" || return; done &&
        rm -rf "$root.part"/var/cache/apt/archives "$root.part/debootstrap" &&
        mv "$root.part" "$root"
}

make_site() {
    rm -rf "$site.part" "$build/wheels"
    "$python" -m pip download --quiet --only-binary=:all: --no-deps --python-version 3.11 --implementation cp \
        --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 --platform manylinux2014_aarch64 \
        --dest "$build/wheels" "${pins[@]}" &&
        for wheel in "$build"/wheels/*.whl; do "$python" -m zipfile -e "$wheel" "$site.part" || return; done &&
        rm -r "$build/wheels" &&
        mv "$site.part" "$site"
}

make_venv() {
    rm -rf "$venv.part"
    "$python" -m venv "$venv.part" &&
        "$venv.part/bin/python" -m pip install --quiet --no-deps "${pins[@]}" &&
        mv "$venv.part" "$venv"
}

# The folder as it is copied onto a Pi; shipped models whose data is here, as float32 and int8; small ones of
# boxes, masks, sounds and texts; pictures to decode and resize.
make_inputs() {
    rm -rf "$build/models" "$build/others" "$build/pictures" "$copied"
    mkdir -p "$build/models" "$build/pictures" "$copied"
    cp -r keras_resnet/device "$copied/"
    for model in keras_resnet/models/*/; do
        cp -r "$model" "$build/models/"
        "$python" -m export "$build/models/$(basename "$model")" --formats=float32,int8-ptq >"$build/export.log" 2>&1 ||
            echo "arm-test: $(basename "$model") is left out: $(tail -n 1 "$build/export.log")"
    done
    cp -r android_demo/core/src/test/resources/models "$build/others"
    for picture in docs/*.png; do
        "$venv/bin/python" -c 'import sys; from PIL import Image; Image.open(sys.argv[1]).convert("RGB").save(sys.argv[2])' \
            "$picture" "$build/pictures/$(basename "$picture" .png).jpg"
        cp "$picture" "$build/pictures/"
    done
}

here() { PYTHONPATH=$copied "$venv/bin/python" -m device "$@"; }

arm() {
    qemu-aarch64-static -cpu "$cpu" -L "$root" \
        -E LD_LIBRARY_PATH="$root/lib/aarch64-linux-gnu:$root/usr/lib/aarch64-linux-gnu" \
        -E PYTHONHOME="$root/usr" -E PYTHONPATH="$copied:$site" "$root/usr/bin/python3.11" -m device "$@"
}

# What verify and predict say of int8 files, without times and the machine's name; run by `here` or `arm`.
answers() {
    "$1" verify "${int8[@]}" "${others[@]}" | sed "s/$(uname -m)\|aarch64/machine/"
    for model in "${int8[@]}"; do
        "$1" predict "$model" "$build/pictures" --json | sed 's/, "preprocessing_ms".*//'
    done
}

mkdir -p "$build"
install_packages
[ -d "$root" ] || make_root || skip "Debian's packages for arm64 can't be had (build/arm/debootstrap.log)"
[ -d "$site" ] || make_site || skip "the wheels for aarch64 can't be had"
[ -d "$venv" ] || make_venv || skip "LiteRT 2.1.6 can't be had for this machine"
make_inputs
int8=("$build"/models/*/export/*int8*.tflite)
others=("$build"/others/*.tflite)
float=("$build"/models/*/export/*float32.tflite)

answers here >"$build/here.txt" 2>"$build/here.log"
for cpu in cortex-a72 cortex-a76; do
    echo "arm-test: $cpu"
    arm verify "${int8[@]}" "${others[@]}" 2>"$build/arm.log"
    arm verify "${float[@]}" 2>"$build/arm.log" || true
    answers arm >"$build/$cpu.txt" 2>"$build/arm.log"
    diff "$build/here.txt" "$build/$cpu.txt"
done
echo "arm-test: $(wc -l <"$build/here.txt") lines of answers identical on $(uname -m), cortex-a72 and cortex-a76"
