#!/usr/bin/env python3
"""Words that must not stand in the sources, each with the reason and what to use instead.

    tests/lint/banned.py [root]
"""
import re

import sources

SECRET = r"(?:\w*(?:key|secret|plaintext|password|pin)\w*)"
EVERYWHERE = tuple(top + "/" for top in sources.EVERYWHERE)
PRODUCT = tuple(top + "/" for top in sources.PRODUCT)
SILENT = ("hsm/job", "hsm/pool", "hsm/pkcs11/", "hsm/wrapped", "keystore/", "kmsd/policy/", "kmsd/audit/", "kmsd/keys/")

# (pattern, where it is forbidden, what to do instead)
RULES = [
    (r"\b(?:strcpy|strcat|stpcpy|sprintf|vsprintf|gets)\s*\(", PRODUCT, "no bound: use kms_buf, snprintf or kms_copy"),
    (r"\b(?:system|popen)\s*\(", PRODUCT, "runs a shell"),
    (r"\b(?:mktemp|tmpnam|tempnam)\s*\(", EVERYWHERE, "can be raced: use mkstemp or kms_temp_dir"),
    (r"\b(?:rand|srand|random|drand48)\s*\(", PRODUCT, "predictable: use kms_random"),
    (r"\b(?:atol|atoll|strtok)\s*\(", PRODUCT, "hides errors or keeps state"),
    (r"\balloca\s*\(", EVERYWHERE, "no bound"),
    (r"\b(?:memcmp|strcmp|bcmp)\s*\([^;]*\b\w*(?:tag|mac|seal|secret|password|pin)\b", PRODUCT,
     "not constant time: use kms_bytes_same"),
    (rf"\b{SECRET}\s*=\s*(?:\([^)]*\)\s*)?(?:malloc|calloc|realloc|strdup)\s*\(", ("hsm/worker/",),
     "key material only in kms_locked_alloc or kms_secret"),
    (r"\bgoto\b", EVERYWHERE, "use KMS_TRY and KMS_OWN"),
    (r"\b(?:kms_log|printf|fprintf|puts|syslog)\s*\(", SILENT, "this room reports errors and never logs"),
    (r"\b(?:TODO|FIXME|XXX|HACK)\b", EVERYWHERE, "do it, or write it down where users read it"),
    (r"#\s*pragma\s+GCC\s+diagnostic\s+ignored", PRODUCT, "repair the warning"),
]
# What a rule would hit, and why it may stand: (path, part of the line)
ALLOWED = {
    ("base/digest.c", "d->mac ="): "an algorithm, not a tag",
    ("kmsd/audit/send/anchor.c", "LOG_AUTHPRIV"): "an anchor, asked for, not a log",
}


def without_comments_and_text(source):
    """The same lines with what is in comments and string literals blanked out; words of comments are looked at apart."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match[0])
    return re.sub(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|/\*.*?\*/', blank, source, flags=re.S)


def complaints_of(path, source):
    """Yields (line, message) for one file; path is relative to the root."""
    code = without_comments_and_text(source).splitlines()
    for number, (line, bare) in enumerate(zip(source.splitlines(), code), 1):
        if "//" in bare and path.endswith((".c", ".h")):
            yield number, "// is for debugging that is thrown away: use /* */"
        for pattern, where, instead in RULES:
            looked_at = line if "TODO" in pattern else bare
            found = re.search(pattern, looked_at)
            allowed = any(path == file and part in line for file, part in ALLOWED)
            if found and path.startswith(where) and not allowed:
                yield number, f"{found[0].strip()}: {instead}"


if __name__ == "__main__":
    sources.judge(complaints_of, sources.EVERYWHERE)
