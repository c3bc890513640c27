"""junit.py FILE: "PASSED FAILED SKIPPED", then a line for each failed test of a JUnit file of ctest or pytest."""
import sys
import xml.etree.ElementTree as ElementTree


def main():
    passed, skipped, failed = 0, 0, []
    try:
        tree = ElementTree.parse(sys.argv[1])
    except OSError as error:
        sys.exit(f"no results: {error}")
    for case in tree.iter("testcase"):
        name = "::".join(filter(None, (case.get("classname"), case.get("name"))))
        if case.find("failure") is not None or case.find("error") is not None or case.get("status") == "fail":
            failed.append(name)
        elif case.find("skipped") is not None or case.get("status") in ("notrun", "disabled"):
            skipped += 1
        else:
            passed += 1
    print(passed, len(failed), skipped)
    print(*failed, sep="\n", end="\n" if failed else "")


if __name__ == "__main__":
    main()
