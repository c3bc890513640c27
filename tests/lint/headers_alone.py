#!/usr/bin/env python3
"""Every header compiles alone, so that the order of includes never matters.

    tests/lint/headers_alone.py BUILD-DIRECTORY        (the generated headers are in its gen folders)
"""
import concurrent.futures
import os
import pathlib
import subprocess
import sys

import sources

PACKAGES = ["libprotobuf-c", "grpc", "p11-kit-1", "sqlite3", "jansson", "yaml-0.1", "libseccomp"]


def flags_of(build):
    packages = subprocess.run(["pkg-config", "--cflags", *PACKAGES], capture_output=True, text=True, check=True)
    generated = [f"-isystem{folder}" for folder in sorted(pathlib.Path(build).rglob("gen")) if folder.is_dir()]
    return ["-std=gnu17", "-D_GNU_SOURCE", '-DKMS_VERSION="0"', '-DKMS_SOURCE_DIR=""', "-Wall", "-Wextra", "-Werror",
            f"-I{sources.ROOT}", f"-I{sources.ROOT / 'client/include'}", *generated, *packages.stdout.split()]


def compile_alone(header, flags):
    """The compiler's words, empty when it has none. Twice: the guard must hold."""
    include = f'#include "{header}"\n' * 2
    result = subprocess.run(["gcc", "-fsyntax-only", "-x", "c", *flags, "-"], input=include, capture_output=True, text=True)
    return result.stderr if result.returncode else ""


def main():
    flags, bad = flags_of(sys.argv[1]), 0
    headers = sources.sources(pattern="*.h")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for header, words in zip(headers, pool.map(lambda h: compile_alone(h, flags), headers)):
            if words:
                bad += 1
                print(f"{header.relative_to(sources.ROOT)} does not compile alone:\n{words}")
    sys.exit(1 if bad or not headers else 0)


if __name__ == "__main__":
    main()
