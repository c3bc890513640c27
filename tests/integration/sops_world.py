"""What the command sops sends to its key service, by grpcio and code generated from proto/sops, and a kmsd that answers it."""
import itertools
import json
import os
import shlex
import shutil
import tempfile
import textwrap

import yaml

from harness import ADMIN, APP, OTHER, ROOT, Service, key_policy
from rpc_client import Failure

VAULT = {"vault_address": "https://kms.local:8200", "engine_path": "transit", "key_name": "app"}
VAULT_NAME = "https://kms.local:8200/v1/transit/keys/app"
AWS = "arn:aws:kms:us-east-1:111122223333:key/app"
KEY_TYPES = {"kms": "kms_key", "pgp": "pgp_key", "gcp_kms": "gcp_kms_key", "azure_kv": "azure_keyvault_key", "hc_vault": "vault_key",
             "age": "age_key", "hckms": "hckms_key"}


class Sops:
    """One connection to a key service. target: "unix:/path" or "127.0.0.1:port"."""

    def __init__(self, target, authority=None):
        import grpc
        from sops import keyservice_pb2

        self.grpc, self.pb = grpc, keyservice_pb2
        options = [("grpc.use_local_subchannel_pool", 1)]
        if authority:
            options.append(("grpc.default_authority", authority))
        self.channel = grpc.insecure_channel(target, options=options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()

    def raw(self, method, data, timeout=60, metadata=None, compression=None):
        """Bytes out, bytes in."""
        call = self.channel.unary_unary(method, request_serializer=bytes, response_deserializer=bytes)
        try:
            return call(data, timeout=timeout, metadata=metadata, compression=compression)
        except self.grpc.RpcError as error:
            raise Failure(error) from None

    def key(self, type_, **fields):
        return self.pb.Key(**{KEY_TYPES[type_]: fields})

    def encrypt(self, key, plaintext, **options):
        """The text that sops would store in a file."""
        request = self.pb.EncryptRequest(key=key, plaintext=plaintext)
        data = self.raw("/KeyService/Encrypt", request.SerializeToString(), **options)
        return self.pb.EncryptResponse.FromString(data).ciphertext.decode("ascii")

    def decrypt(self, key, text, **options):
        request = self.pb.DecryptRequest(key=key, ciphertext=text if isinstance(text, bytes) else text.encode())
        data = self.raw("/KeyService/Decrypt", request.SerializeToString(), **options)
        return self.pb.DecryptResponse.FromString(data).plaintext


def door(path, protocol="sops", principal="", uids=None, mode="0600"):
    """An item of listen.unix."""
    lines = [f"    - path: {path}", f'      mode: "{mode}"', f"      protocol: {protocol}"]
    if principal:
        lines.append(f"      principal: {principal}")
    if uids:
        lines.append("      uids:")
    for uid, mapped in (uids or {}).items():
        lines += [f"        - uid: {uid}", f"          principal: {mapped}"]
    return "\n".join(lines) + "\n"


def mapping(rows):
    """The option sops.keys of (type, name, key)."""
    lines = ["sops:", "  keys:"]
    for type_, name, key in rows:
        lines += [f"    - type: {type_}", f'      name: "{name}"', f'      key: "{key}"']
    return "\n".join(lines) + "\n"


def set_up_as_told(service, document, *names):
    """Starts it with the first socket that docs/DOCUMENT shows, once for each (path, key), and the key that is made there.

    The last key is another: of its policy only the statement that is shown is for the peer. Returns who that is.
    """
    lines = (ROOT / "docs" / document).read_text().splitlines()
    blocks = [textwrap.dedent("\n".join(block))
              for code, block in itertools.groupby(lines, lambda line: line.startswith("    ")) if code]
    (told,) = yaml.safe_load(blocks[0])["listen"]["unix"]
    del told["group"], told["mode"]  # of users that this machine has not
    told.pop("uids", None)
    items = [dict(told, path=str(path), **({"key": key} if "key" in told else {})) for path, key in names]
    service.write_config(unix="  unix: " + json.dumps(items))
    service.init().start()
    (command,) = [block for block in blocks if block.startswith("kmsctl --context admin key create ")]
    service.kmsctl(ADMIN, *shlex.split(command)[3:])
    (statement,) = [json.loads(block) for block in blocks if block.startswith("{")]
    policy = json.loads(key_policy(users=()))
    policy["Statement"].append(statement)
    own = service.new_key(policy=json.dumps(policy))
    with service.client(ADMIN) as admin:
        admin.CreateAlias(alias_name=names[-1][1], target_key_id=own)
    return told["principal"]


ME = f"unix:uid={os.geteuid()},pid={os.getpid()}"


LOCAL = "local:anybody"


def tcp(principal, address="127.0.0.1:0", accept="true"):
    """The option listen.sops_tcp."""
    return (f'  sops_tcp:\n    - address: "{address}"\n      principal: {principal}\n'
            f"      i_accept_any_local_user: {accept}\n")


def tcp_address(service):
    """Where it listens, since port 0 was asked for."""
    return service.log_text().split("event=rpc.tcp address=")[-1].split()[0]


class House:
    """A kmsd with sockets for sops; shared, so that each test makes what it changes."""

    def __init__(self, directory, folder):
        self.folder = folder
        self.service = Service(directory)
        self.rows = [("hc_vault", VAULT_NAME, "alias/vault"), ("kms", AWS, "alias/aws-app"), ("age", "age1yt3", "alias/none"),
                     ("azure_kv", "https://v.vault.azure.net/keys/k/1", "alias/vault")]
        self.service.write_config(
            unix="  unix:\n" + door(self.path("sops"), principal=APP) + door(self.path("other"), principal=OTHER)
            + door(self.path("kms"), protocol="kms", principal=APP) + door(self.path("strangers"), uids={12345: APP}) + tcp(LOCAL),
            extra=mapping(self.rows),
        )
        self.service.init().start()
        self.key = self.service.new_key()
        with self.service.client(ADMIN) as admin:
            for alias in ("alias/vault", "alias/aws-app"):
                admin.CreateAlias(alias_name=alias, target_key_id=self.key)

    def path(self, name):
        return os.path.join(self.folder, name)

    def sops(self, name="sops", **options):
        return Sops("unix:" + self.path(name), **options)

    def over_tcp(self, **options):
        return Sops(tcp_address(self.service), **options)

    def last(self, **wanted):
        return self.service.records(**wanted)[-1]


def house_of(tmp_path_factory):
    """Of a fixture."""
    folder = tempfile.mkdtemp(prefix="kmsd-sops-")  # a short path: sockets have 107 bytes
    built = House(tmp_path_factory.mktemp("sops") / "home", folder)
    yield built
    built.service.stop()
    shutil.rmtree(folder)
