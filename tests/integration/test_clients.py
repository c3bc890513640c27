"""The programs of docs/clients, built and started as their README says, against kmsd: each, and what one sealed in the others."""
import os
import re
import shutil
import subprocess

import pytest

from harness import ADMIN, APP, OTHER, ROOT, failure, free_port

CONTEXT = {"purpose": "docs/clients"}
LETTER = bytes(range(256)) * 5
CHANGED = "this file was changed, or is none of ours"
LANGUAGES = ("python", "go", "node")
# What each needs; blocks of the README that only fetch what the language's registry has; Go's usual place beside the PATH.
NEEDS = {"python": "grpc_python_plugin", "go": "go", "node": "npm"}
FETCHES = {"python": 0, "go": 1, "node": 1}
PATH = f"/usr/bin:{os.environ['PATH']}:/usr/local/go/bin"
# A registry that does not answer at once is asked again soon, not after npm's usual minute.
SOON = {"npm_config_fetch_retry_mintimeout": "1000", "npm_config_fetch_retry_maxtimeout": "5000"}


def blocks_of(language):
    """The code of its section: to fetch, to build, and last to run."""
    text = (ROOT / "docs/clients/README.md").read_text()
    section = re.search(rf"^## {language.title()}\n(.*?)^## ", text, re.M | re.S)[1]
    return re.findall(r"^```sh\n(.*?)^```", section, re.M | re.S)


def environment_of(service, uri):
    """KMS_*; the endpoint by its name, since Node warns of an address."""
    found = {name: value for name, value in service.client_environment(uri).items() if name.startswith("KMS_")}
    return dict(found, KMS_ENDPOINT=f"localhost:{service.port}")


class Program:
    """One of them, in a checkout of its own that has only what it needs."""

    def __init__(self, language, checkout, environment):
        self.dir, self.environment = checkout, dict(os.environ, PATH=PATH, **SOON, **environment)
        *prepare, self.example = blocks_of(language)
        if not shutil.which(NEEDS[language], path=PATH):
            pytest.skip(f"{NEEDS[language]} is not installed")
        for number, block in enumerate(prepare):
            fetches = number < FETCHES[language]
            done = self.bash(block, seconds=120 if fetches else 600)
            if fetches and done.returncode:
                said = "no answer within 120 s" if done.returncode == 124 else done.stderr.strip()[-300:]
                pytest.skip(f"the packages that the {language} client needs cannot be had here: {said}")
            assert done.returncode == 0, done.stdout + done.stderr
        self.command = re.search(r"^(.*) text ", self.example, re.M)[1].split()
        for name, value in re.findall(r"^export (\w+)=(\S+)$", self.example, re.M):
            self.environment[name] = value

    def bash(self, script, seconds=120):
        """Status 124 when it takes longer; then nothing of it goes on."""
        return subprocess.run(["timeout", "--kill-after=5", str(seconds), "bash", "-eu", "-c", script], cwd=self.dir,
                              env=self.environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)

    def __call__(self, *arguments, **environment):
        return subprocess.run([*self.command, *map(str, arguments)], cwd=self.dir, env={**self.environment, **environment},
                              capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)

    def succeeds(self, *arguments, **environment):
        done = self(*arguments, **environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def fails(self, *arguments, **environment):
        done = self(*arguments, **environment)
        assert done.returncode == 1 and not done.stdout, done
        return done.stderr.strip().splitlines()[-1]  # gRPC's C core logs handshakes before


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    directory = tmp_path_factory.mktemp("clients")
    for folder in ("proto", "docs"):
        (directory / folder).symlink_to(ROOT / folder)
    (directory / "letter.txt").write_bytes(LETTER)
    return directory


@pytest.fixture(scope="module")
def built(service, checkout, key_id):
    """Each language's program, or why it cannot be had; made when it is first asked for."""
    made = {}

    def build(language):
        if language not in made:
            try:
                made[language] = Program(language, checkout, environment_of(service, APP))
            except (Exception, pytest.skip.Exception) as reason:
                made[language] = reason
        if isinstance(made[language], BaseException):
            raise made[language]
        return made[language]

    return build


@pytest.fixture(scope="module", params=LANGUAGES)
def program(request, built):
    return built(request.param)


@pytest.fixture(scope="module")
def key_id(service):
    made = service.new_key()
    with service.client(ADMIN) as admin:
        admin.CreateAlias(alias_name="alias/app", target_key_id=made)
    return made


@pytest.fixture
def sealed(program, tmp_path):
    path = tmp_path / "letter.sealed"
    program.succeeds("seal", "alias/app", "letter.txt", path)
    return path


def wrapped_of(sealed):
    data = sealed.read_bytes()
    return data[2:2 + int.from_bytes(data[:2], "big")]


def test_the_readme(program):
    done = program.bash(program.example)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("decrypted: a text\n")
    assert (program.dir / "letter.opened").read_bytes() == LETTER
    assert LETTER[:16] not in (program.dir / "letter.sealed").read_bytes()
    for made in ("letter.sealed", "letter.opened"):
        path = program.dir / made
        assert path.stat().st_mode & 0o777 == 0o600
        path.unlink()


def test_what_the_audit_log_says_of_it(program, service, sealed, tmp_path):
    program.succeeds("text", "alias/app", "naïve ☃")
    program.succeeds("open", sealed, tmp_path / "letter")
    assert (tmp_path / "letter").read_bytes() == LETTER
    for operation in ("Encrypt", "Decrypt", "GenerateDataKey"):
        record = service.records(operation=operation)[-1]
        assert record["outcome"] == "OK" and record["principal"] == APP
        assert record["access"][0]["context"] == CONTEXT


def test_the_data_key_is_a_data_key(sealed, app):
    wrapped = wrapped_of(sealed)
    assert len(app.Decrypt(ciphertext_blob=wrapped, encryption_context=CONTEXT).plaintext) == 32
    assert failure(app.Decrypt, ciphertext_blob=wrapped).reason == "INVALID_CIPHERTEXT"


@pytest.mark.parametrize("opener", LANGUAGES)
def test_what_one_sealed_another_opens(built, opener, sealed, tmp_path):
    built(opener).succeeds("open", sealed, tmp_path / "letter")
    assert (tmp_path / "letter").read_bytes() == LETTER


def test_an_empty_file(program, tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    program.succeeds("seal", "alias/app", tmp_path / "empty", tmp_path / "sealed")
    program.succeeds("open", tmp_path / "sealed", tmp_path / "opened")
    assert (tmp_path / "opened").read_bytes() == b""


def test_a_file_that_was_changed(program, sealed, tmp_path):
    good, wrapped = sealed.read_bytes(), len(wrapped_of(sealed))
    behind = 2 + wrapped
    for place in (behind, behind + 12, len(good) - 1):  # nonce, text, tag
        sealed.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1:])
        assert program.fails("open", sealed, tmp_path / "letter") == CHANGED
    for length in (0, 1, 2, behind, behind + 12, len(good) - 1):
        sealed.write_bytes(good[:length])
        assert program.fails("open", sealed, tmp_path / "letter") == CHANGED
    sealed.write_bytes(good[:behind - 1] + bytes([good[behind - 1] ^ 1]) + good[behind:])
    assert program.fails("open", sealed, tmp_path / "letter").startswith("INVALID_CIPHERTEXT: ")
    assert not (tmp_path / "letter").exists()


def test_a_refusal_names_its_reason_and_its_record(program, service):
    said = program.fails("seal", "alias/app", "letter.txt", "letter.never", **environment_of(service, OTHER))
    reason, request = re.fullmatch(r"(\w+): .* \(request (\S+)\)", said).groups()
    assert reason == "ACCESS_DENIED"
    record = service.records(request_id=request)[-1]
    assert record["principal"] == OTHER and record["operation"] == "GenerateDataKey"
    assert not (program.dir / "letter.never").exists()


def test_nobody_there(program, service, tmp_path):
    said = program.fails("text", "alias/app", "a text", KMS_ENDPOINT=f"127.0.0.1:{free_port()}")
    assert re.match(r"UNAVAILABLE: |Unavailable: ", said)


def test_a_server_of_another_ca(program, service):
    if not (service.certs.dir / "strange.pem").exists():
        service.certs.ca("strange")
    said = program.fails("text", "alias/app", "a text", KMS_CA=str(service.certs.dir / "strange.pem"))
    assert re.match(r"UNAVAILABLE: |Unavailable: ", said)


def test_how_it_is_used(program):
    assert "open IN OUT" in program.fails("frobnicate")


def test_python_wipes_its_copy(built):
    program = built("python")
    code = "import client\nwith client.wiped(b'secret') as key: assert key == b'secret'\nassert key == bytes(6)"
    where = program.environment["PYTHONPATH"] + ":docs/clients/python"
    done = subprocess.run(["python3", "-B", "-c", code], cwd=program.dir, env=dict(program.environment, PYTHONPATH=where),
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_go_is_formatted(built):
    done = built("go").bash("gofmt -l docs/clients/go")
    assert done.returncode == 0 and not done.stdout, done
