"""libkms as it is installed: the example of its man page, built by what pkg-config says, does what it says."""
import os
import subprocess

from harness import ADMIN, APP, BUILD, run

MAIN = "#include <err.h>\n#include <kms/client.h>\n\nint main(void)\n{\n%s\nreturn 0;\n}\n"


def example_of(page):
    text = page.split(".Sh EXAMPLES\n.Bd -literal\n")[1].split("\n.Ed\n")[0]
    return MAIN % text.replace("\\e", "\\")


def test_the_example_of_the_man_page(service, tmp_path):
    root = tmp_path / "root"
    run("cmake", "--install", BUILD, "--prefix", "/usr", env=dict(os.environ, DESTDIR=str(root)))
    source, program = tmp_path / "example.c", tmp_path / "example"
    certs, name = service.certs.dir, service.certs.client(APP)
    text = example_of((root / "usr/share/man/man3/libkms.3").read_text())
    for written, here in (
        ("kms.example.com:8443", f"127.0.0.1:{service.port}"),
        ("ca.pem", f"{certs}/ca.pem"),
        ("app.pem", f"{certs}/{name}.pem"),
        ("app.key", f"{certs}/{name}.key"),
    ):
        assert text.count(f'"{written}"') == 1
        text = text.replace(f'"{written}"', f'"{here}"')
    source.write_text(text)
    found = dict(os.environ, PKG_CONFIG_PATH=str(next(root.rglob("kms.pc")).parent))
    flags = run("pkg-config", "--cflags", "--libs", "kms", env=found).stdout.split()
    library = next(root.rglob("libkms.so"))
    sanitizers = "-fsanitize=address,undefined" if b"__asan_init" in library.read_bytes() else "-O2"
    run("cc", "-std=c11", "-Wall", "-Wextra", "-Werror", sanitizers, source, "-o", program, *flags)
    run("c++", "-Wall", "-Werror", "-fsyntax-only", "-x", "c++", root / "usr/include/kms/client.h", *flags)
    environment = dict(os.environ, LD_LIBRARY_PATH=str(library.parent), ASAN_OPTIONS="detect_leaks=0")

    def start():
        return subprocess.run([program], env=environment, capture_output=True, text=True, timeout=60)

    done = start()
    assert done.returncode == 1 and ": ACCESS_DENIED: " in done.stderr, "there is no alias/backup yet"
    with service.client(ADMIN) as admin:
        admin.CreateAlias(alias_name="alias/backup", target_key_id=service.new_key())
    done = start()
    assert done.returncode == 0, done.stderr
    assert service.records(operation="GenerateDataKey")[-1]["outcome"] == "OK"
