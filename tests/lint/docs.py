#!/usr/bin/env python3
"""Documents stay true: links and paths exist, commands name subcommands and options that exist. (Man pages: man_match.py.)

    tests/lint/docs.py BUILD      BUILD/bin has kmsd, kmsctl and kms-env, whose --help is the truth

Commands are those of code blocks and of `code` that begins with a program or script of ours.
"""
import functools
import pathlib
import re
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("base", "client", "cmake", "deploy", "docs", "hsm", "keystore", "kmsd", "proto", "tests")
PROGRAMS = ("kmsd", "kmsctl", "kms-env")
SCRIPT = re.compile(r"(?:\./)?((?:deploy|tests)/[\w./-]+)")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
OPTION = re.compile(r"^\s+(?:-(\w)(?:, |$| ))?(?:--([a-z][a-z0-9-]*))?(\[?[= ][A-Z\"{][^\s]*|=\S+)?", re.M)
DRAWING = re.compile("[\u2190-\u21ff\u2500-\u25ff]|->|<-")  # a picture of boxes and arrows, not a command


def documents():
    return sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").rglob("*.md")) + sorted((ROOT / "proto").glob("*.md"))


def slug(heading):
    return re.sub(r"[^\w\- ]", "", heading.replace("`", "").strip().lower()).replace(" ", "-")


def blocks_of(text):
    """Splits into prose and the lines of code blocks (fenced, or indented by four blanks), each with its line number."""
    prose, code, fenced = [], [], False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            code.append((number, line.strip()))
        else:
            prose.append((number, line))
    return prose, code


def commands_of(prose, code):
    """Yields (line number, words) of each command that begins with a program or script of ours."""
    lines = list(code)
    for number, line in prose:
        lines += [(number, found) for found in CODE.findall(line)]
    joined = []
    for number, line in lines:
        if joined and joined[-1][1].endswith("\\"):
            joined[-1] = (joined[-1][0], joined[-1][1][:-1] + line)
        else:
            joined.append((number, line))
    for number, line in joined:
        if DRAWING.search(line):
            continue
        for part in re.split(r"\s{3,}|\|\|?|&&|;|>", line.removeprefix("$ ")):
            try:
                words = shlex.split(part, comments=True)
            except ValueError:
                words = part.split()
            while words and (words[0] == "sudo" or re.fullmatch(r"[A-Z_0-9]+=.*", words[0])):
                words.pop(0)
            if words and (words[0] in PROGRAMS or SCRIPT.fullmatch(words[0])):
                yield number, words


class Truth:
    """What --help of a program says."""

    def __init__(self, build):
        self.bin = pathlib.Path(build) / "bin"

    @functools.lru_cache(maxsize=None)
    def help(self, *words):
        asked = subprocess.run([*words, "--help"], capture_output=True, text=True, timeout=60, cwd=ROOT, stdin=subprocess.DEVNULL)
        return asked.stdout if asked.returncode == 0 else ""

    def program(self, name, *words):
        return self.help(str(self.bin / name), *words)

    @staticmethod
    def options(text):
        """{"--name" or "-n": takes a value}"""
        found = {"--help": False, "-h": False, "-?": False}
        for short, long, value in OPTION.findall(text):
            if short:
                found["-" + short] = bool(value)
            if long:
                found["--" + long] = bool(value)
        for long in re.findall(r"\[?(--[a-z][a-z0-9-]+)", text):  # where a usage line is all there is
            found.setdefault(long, False)
        return found

    def subcommands(self, name):
        text = self.program(name)
        listed = text[re.search(r"^(?:Subc|C)ommands:", text, re.M).end():]
        return {" ".join(re.match(r"(?:[a-z][a-z-]*(?: (?=[a-z]))?)+", line.strip())[0].split())
                for line in (re.split(r"\s{2,}|(?= [A-Z\[])", row)[0] for row in
                             re.findall(r"^  ([a-z].*)$", listed, re.M))}


def options_wrong(words, options, context):
    """Yields complaints about options; returns what is left from the first word that is none."""
    rest = list(words)
    while rest and rest[0].startswith("-") and rest[0] not in ("-", "--"):
        name, has_value, _ = rest.pop(0).partition("=")
        if name not in options:
            yield f"{context} has no option {name}"
            if not has_value and rest and not rest[0].startswith("-"):
                rest.pop(0)  # perhaps its value
        elif options[name] and not has_value and rest:
            rest.pop(0)
    return rest


def program_wrong(words, truth):
    name, rest = words[0], list(words[1:])
    if not truth.program(name):
        yield f"{name}: not in {truth.bin}: build first"
        return
    options, subcommands = truth.options(truth.program(name)), truth.subcommands(name)
    rest = yield from options_wrong(rest, options, name)
    if not rest or rest[0] in ("...", "--") or rest[0].isupper():
        return
    two = " ".join(rest[:2])
    found = two if two in subcommands else rest[0] if rest[0] in subcommands else None
    if found is None:
        if len(rest) > 1 or not any(s.startswith(rest[0] + " ") for s in subcommands):  # `kmsctl key` alone names a group
            yield f"{name} has no subcommand {two}"
        return
    if name != "kmsd":
        text = truth.program(name, *found.split())
        options, lone = truth.options(text), re.match(r"Usage: .*\[OPTION\.\.\.\]\s*$", text, re.M)
    else:
        lone = True
    rest = rest[len(found.split()):]
    while rest and rest[0] != "--":
        rest = (yield from options_wrong(rest, options, f"{name} {found}"))
        if lone and rest and rest[0] not in ("--", "..."):
            yield f"{name} {found} takes no argument: {rest[0]}"
        rest = rest[1:] if rest and rest[0] != "--" else []


def script_wrong(words, truth):
    path = ROOT / SCRIPT.fullmatch(words[0])[1]
    if not path.exists():
        yield f"{words[0]} does not exist"
    elif len(words) > 1 and path.is_file():
        if not path.stat().st_mode & 0o111:
            yield f"{words[0]} cannot be executed"
        elif "--help" in path.read_text() or "argparse" in path.read_text():
            text = truth.help(str(path))
            rest = yield from options_wrong(words[1:], truth.options(text), words[0])
            choices = re.search(r"\[([a-z]+(?:\|[a-z]+)+)\]", text)
            if rest and choices and rest[0] not in choices[1].split("|"):
                yield f"{words[0]} has no subcommand {rest[0]}"


def path_wrong(text):
    """A path in `code` that begins with a folder of ours."""
    found = re.fullmatch(r"([a-z]+/[\w./*{},-]+?)(?::\d+)?", text)
    if not found or found[1].split("/")[0] not in FOLDERS:
        return
    alternatives = re.fullmatch(r"(.*)\{(.*)\}(.*)", found[1])
    names = [alternatives[1] + one + alternatives[3] for one in alternatives[2].split(",")] if alternatives else [found[1]]
    for name in names:
        if not any(ROOT.glob(name.rstrip("/"))):
            yield f"{name} does not exist"


def link_wrong(document, target):
    if re.match(r"[a-z]+:", target):
        return
    path, _, anchor = target.partition("#")
    at = (document.parent / path).resolve() if path else document
    if not at.exists():
        yield f"link to {target}: no such file"
    elif anchor and at.suffix == ".md" and anchor not in {slug(h) for h in re.findall(r"^#+ (.*)$", at.read_text(), re.M)}:
        yield f"link to {target}: no such heading"


def complaints_of(document, text, truth):
    """Yields (line number, complaint)."""
    prose, code = blocks_of(text)
    for number, line in prose:
        for target in LINK.findall(line):
            yield from ((number, c) for c in link_wrong(document, target))
        for inline in CODE.findall(line):
            yield from ((number, c) for c in path_wrong(inline))
            page = re.fullmatch(r"man (?:[1-8] )?([\w-]+)", inline)
            if page and not any(ROOT.glob(f"*/man/{page[1]}.[1-8]")):
                yield number, f"there is no man page {page[1]}"
    for number, words in commands_of(prose, code):
        wrong = program_wrong if words[0] in PROGRAMS else script_wrong
        yield from ((number, c) for c in wrong(words, truth))


def main():
    truth = Truth(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/dev")
    wrong = 0
    for document in documents():
        for number, complaint in sorted(set(complaints_of(document, document.read_text(), truth))):
            print(f"{document.relative_to(ROOT)}:{number}: {complaint}")
            wrong += 1
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
