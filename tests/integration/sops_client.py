"""What the command sops sends to its key service, by grpcio and code generated from proto/sops; a file's key is kept as sops does."""
import os

from rpc_client import Failure

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

    def raw(self, method, data, timeout=60, metadata=None):
        """Bytes out, bytes in."""
        call = self.channel.unary_unary(method, request_serializer=bytes, response_deserializer=bytes)
        try:
            return call(data, timeout=timeout, metadata=metadata)
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


ME = f"unix:uid={os.geteuid()},pid={os.getpid()}"
