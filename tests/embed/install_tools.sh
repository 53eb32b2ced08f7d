#!/bin/sh
# What the tests of embedded programs need beside Python: from Debian where apt-get may install, from npm into .tools.
# What cannot be had is named, and the tests that need it skip by name.
cd "$(dirname "$0")/../.." || exit 1

# package:what tells that it is there
set -- cmake:/usr/bin/cmake g++:/usr/bin/g++ ccache:/usr/bin/ccache \
    libstb-dev:/usr/include/stb/stb_image.h liblcms2-dev:/usr/include/lcms2.h \
    nlohmann-json3-dev:/usr/include/nlohmann/json.hpp libssl-dev:/usr/include/openssl/evp.h chromium:/usr/bin/chromium
command -v node >/dev/null || set -- "$@" nodejs:/usr/bin/node
command -v npm >/dev/null || set -- "$@" npm:/usr/bin/npm
missing=
for pair in "$@"; do
    [ -e "${pair#*:}" ] || missing="$missing ${pair%%:*}"
done
if [ -n "$missing" ]; then
    if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
        echo "Installing$missing from Debian …"
        apt-get update -qq >/dev/null 2>&1
        for package in $missing; do
            DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null 2>&1 ||
                echo "Not to be had: $package. The tests of embedded programs that need it are skipped."
        done
    else
        echo "Not here:$missing (as root, apt-get installs them). The tests of embedded programs that need them are skipped."
    fi
fi

if [ ! -d .tools/node_modules ] || [ tests/embed/package.json -nt .tools/package.json ]; then
    if command -v npm >/dev/null; then
        echo "Installing npm packages for the tests of embedded programs into .tools …"
        mkdir -p .tools && cp tests/embed/package.json .tools/package.json
        # Scripts would fetch GPU files of onnxruntime-node.
        (cd .tools && npm install --ignore-scripts --no-audit --no-fund --no-package-lock --loglevel=error) || {
            rm -f .tools/package.json
            echo "Not to be had: npm packages. The tests of Node and web programs are skipped."
        }
    else
        echo "Not here: npm. The tests of Node and web programs are skipped."
    fi
fi
exit 0
