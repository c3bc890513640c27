"""The command sops itself against its key service, where it is on the PATH; test_sops.py drives the same protocol everywhere."""
import os
import shutil
import subprocess

import pytest

from harness import APP, key_policy
from sops_world import LOCAL, house_of, tcp_address

FILES = {
    "a.yaml": "a: secret-one\nb: [1, two]\n",
    "a.json": '{"a": "secret-one", "b": [1, "two"]}\n',
    "a.env": "A=secret-one\nB=two\n",
    "a.ini": "[s]\na = secret-one\n",
}

if shutil.which("sops"):

    @pytest.fixture(scope="module")
    def house(tmp_path_factory):
        yield from house_of(tmp_path_factory)

    class Command:
        def __init__(self, home, service):
            self.home = home
            self.environment = {"PATH": os.environ["PATH"], "HOME": str(home), "SOPS_KEYSERVICE": service,
                                "SOPS_ENABLE_LOCAL_KEYSERVICE": "false"}

        def __call__(self, *arguments, expect=0, **environment):
            done = subprocess.run(["sops", *map(str, arguments)], capture_output=True, text=True, cwd=self.home, timeout=120,
                                  env=dict(self.environment, **environment))
            assert done.returncode == expect, done.stderr
            return done.stdout + (done.stderr if expect else "")

    @pytest.mark.parametrize("name", FILES)
    @pytest.mark.parametrize("way", ["unix", "tcp"])
    def test_a_file_of_each_kind(house, tmp_path, name, way):
        service = "unix://" + house.path("sops") if way == "unix" else "tcp://" + tcp_address(house.service)
        sops, file = Command(tmp_path, service), tmp_path / name
        key = house.service.new_key(policy=key_policy(users=(APP, LOCAL)))
        file.write_text(FILES[name])
        arn = f"arn:aws:kms:us-east-1:000000000000:key/{key}"
        sops("encrypt", "--kms", arn, "--encryption-context", "env:prod", "-i", file)
        assert "secret-one" not in file.read_text()
        assert "secret-one" in sops("decrypt", file)
        sops("rotate", "-i", file)
        sops(file, EDITOR="sed -i s/secret-one/secret-two/")
        assert "secret-two" in sops("decrypt", file)
        file.write_text(file.read_text().replace("prod", "test"))
        assert "another encryption" in sops("decrypt", file, expect=128)

    def test_a_key_of_vault(house, tmp_path):
        sops, file = Command(tmp_path, "unix://" + house.path("sops")), tmp_path / "v.yaml"
        file.write_text(FILES["a.yaml"])
        vault = "https://kms.local:8200/v1/transit/keys/"
        assert "NotFound" in sops("encrypt", "--hc-vault-transit", vault + "other", file, expect=1)
        sops("encrypt", "--hc-vault-transit", vault + "app", "-i", file)
        assert "secret-one" in sops("decrypt", file)

    def test_two_groups(house, tmp_path):
        """Both are needed, each has a part of 33 bytes."""
        sops, file = Command(tmp_path, "unix://" + house.path("sops")), tmp_path / "g.yaml"
        other = house.service.new_key()
        (tmp_path / ".sops.yaml").write_text(
            "creation_rules:\n  - shamir_threshold: 2\n    key_groups:\n"
            f"      - kms: [{{arn: '{house.key}'}}]\n"
            f"      - kms: [{{arn: 'arn:aws:kms:us-east-1:1:key/{other}', context: {{env: prod}}}}]\n"
        )
        file.write_text(FILES["a.yaml"])
        sops("encrypt", "-i", file)
        assert "secret-one" in sops("decrypt", file)
