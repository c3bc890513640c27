# Functions that deploy/quickstart and tests/run share. For bash; nothing is assumed but bash, dpkg and apt.
# shellcheck shell=bash

KMS_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Colour and progress only for people.
if [ -t 1 ] && [ -z "${CI:-}" ]; then KMS_TERMINAL=yes; else KMS_TERMINAL=; fi

kms_say() { # what happens now
    if [ -n "$KMS_TERMINAL" ]; then printf '\033[1m==> %s\033[0m\n' "$*"; else printf '==> %s\n' "$*"; fi
}

kms_complain() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

kms_packages() { # SECTION...: the packages of these sections of deploy/packages.txt
    local wanted=" $* " section='' line
    while IFS= read -r line; do
        case $line in
        '#: '*) section=${line#'#: '} ;;
        '#'* | '') ;;
        *) [[ $wanted == *" $section "* ]] && printf '%s\n' "${line%%[[:space:]]*}" ;;
        esac
    done <"$KMS_ROOT/deploy/packages.txt"
    return 0
}

kms_is_debian12() {
    local ID='' VERSION_ID=''
    [ -r /etc/os-release ] && . /etc/os-release
    [ "$ID" = debian ] && [ "$VERSION_ID" = 12 ] && command -v apt-get >/dev/null
}

kms_missing_packages() { # SECTION...: those that are not installed
    local installed package
    installed=" $(dpkg-query -W -f '${Package}=${db:Status-Status} ' 2>/dev/null) "
    for package in $(kms_packages "$@"); do
        [[ $installed == *" $package=installed "* ]] || printf '%s\n' "$package"
    done
}

# Elsewhere than on Debian 12 nothing is installed: what is needed is looked for and named.
kms_missing_tools() { # SECTION...
    local tool module
    for tool in gcc cmake ninja pkg-config protoc-c openssl softhsm2-util; do
        command -v "$tool" >/dev/null || printf 'program %s\n' "$tool"
    done
    for module in libprotobuf-c grpc openssl p11-kit-1 sqlite3 jansson yaml-0.1 libseccomp zlib; do
        pkg-config --exists "$module" 2>/dev/null || printf 'library %s (pkg-config)\n' "$module"
    done
    [[ " $* " == *' test '* ]] || return 0
    for tool in clang clang-format pmccabe; do
        command -v "$tool" >/dev/null || printf 'program %s\n' "$tool"
    done
    for module in pytest xdist cryptography jsonschema; do
        /usr/bin/python3 -c "import $module" 2>/dev/null || printf 'module %s of /usr/bin/python3\n' "$module"
    done
    [ -e /usr/include/CUnit/CUnit.h ] || printf 'library CUnit\n'
}

kms_as_root() { # COMMAND...: as it is for root, else by sudo
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

kms_apt() { # ARGUMENT...: apt-get without questions; waits for another one to end
    if [ -n "$KMS_TERMINAL" ]; then
        kms_as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 "$@"
    else
        kms_as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 "$@" >/dev/null
    fi
}

kms_have_lists() { compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null; }

# Installs what is missing of these sections; in seconds when nothing is. Returns 1 after saying what to do.
kms_install() { # SECTION...
    local missing
    if ! kms_is_debian12; then
        missing=$(kms_missing_tools "$@")
        [ -z "$missing" ] && return 0
        kms_complain "this is not Debian 12, so nothing is installed here. Please install:"
        printf '    %s\n' "${missing//$'\n'/$'\n    '}" >&2
        return 1
    fi
    missing=$(kms_missing_packages "$@")
    [ -z "$missing" ] && return 0
    if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
        kms_complain "not root and no sudo: please run as root: apt-get install -y --no-install-recommends" $missing
        return 1
    fi
    kms_say "Installing $(wc -w <<<"$missing") Debian packages:" $missing
    if ! kms_have_lists; then kms_apt update || return 1; fi
    # Lists may be older than the archive: fetch them and try once more.
    kms_apt install --no-install-recommends $missing || { kms_apt update && kms_apt install --no-install-recommends $missing; } || {
        kms_complain "apt-get could not install them; its words are above"
        return 1
    }
}
