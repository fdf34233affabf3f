#!/usr/bin/env bash
# What the system must have: Java, Python and make, and for the tests a browser. The Dockerfile and `make test`, so CI
# too, call this; it does nothing where all is there.
set -euo pipefail

packages=()
command -v javac >/dev/null || packages+=(openjdk-17-jdk-headless)
command -v make >/dev/null || packages+=(make)
command -v git >/dev/null || packages+=(git)
command -v python3 >/dev/null || packages+=(python3)
python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv)
command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null ||
    packages+=(chromium)

if [ "${#packages[@]}" -gt 0 ]; then
    as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    echo "Installing ${packages[*]}"
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${packages[@]}"
fi

# The named volume of the cache, and the folder above it, belong to root when they are new.
for folder in "$HOME/.cache" "${SPARK_DEVKIT_HOME:-$HOME/.cache/spark-devkit}"; do
    if [ -d "$folder" ] && [ ! -w "$folder" ]; then
        sudo chown "$(id -u):$(id -g)" "$folder"
    fi
done
