"""What the Secrets Store CSI driver of a node sends to its providers, by grpcio, and a kmsd that answers it."""
import json
import os
import shutil
import tempfile
import uuid

import yaml

from callers import secret_policy
from harness import ADMIN, ROOT, Failure, Service
from sops_world import door

WEB, BATCH = "unix:k8s/shop/web", "unix:k8s/batch"
DRIVER = "unix:csi-driver"
PODS = [("shop", "web", WEB), ("batch", "", BATCH), ("batch", "web", WEB)]
SAMPLE = ROOT / "deploy/kubernetes/secret-provider-class.yaml"


def sample_objects():
    """The list of the sample, as the driver finds it in the SecretProviderClass."""
    (manifest, _) = yaml.safe_load_all(SAMPLE.read_text())
    return manifest["spec"]["parameters"]["objects"]


def pods(rows):
    lines = ["      pods:"]
    for namespace, account, principal in rows:
        lines.append(f'        - {{namespace: {namespace}, service_account: "{account}", principal: "{principal}"}}')
    return "\n".join(lines) + "\n"


def objects(*items):
    return yaml.safe_dump(list(items))


class Driver:
    """One connection, as the driver has it: authority localhost, waits until the socket is there."""

    def __init__(self, path):
        import grpc
        from csi import secrets_store_pb2

        self.grpc, self.pb = grpc, secrets_store_pb2
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.default_authority", "localhost"),
                   ("grpc.max_reconnect_backoff_ms", 100)]
        self.channel = grpc.insecure_channel("unix:" + path, options=options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()

    def function(self, method):
        request, reply = getattr(self.pb, method + "Request"), getattr(self.pb, method + "Response")
        return self.channel.unary_unary(
            f"/v1alpha1.CSIDriverProvider/{method}", request_serializer=request.SerializeToString,
            response_deserializer=reply.FromString,
        )

    def call(self, method, timeout=60, **fields):
        try:
            request = getattr(self.pb, method + "Request")(**fields)
            return self.function(method)(request, timeout=timeout, wait_for_ready=True)
        except self.grpc.RpcError as error:
            raise Failure(error) from None

    def request(self, wanted, namespace="shop", account="web", uid=None, known=(), permission="420", **attributes):
        """The fields of a MountRequest."""
        said = {"objects": wanted, "secretProviderClass": "web", **attributes}
        pod = {"pod.namespace": namespace, "serviceAccount.name": account, "pod.name": "web-7d4f", "pod.uid": uid or str(uuid.uuid4()),
               "ephemeral": "true"}
        said.update({"csi.storage.k8s.io/" + name: text for name, text in pod.items()})
        versions = [self.pb.ObjectVersion(id=id_, version=version) for id_, version in known]
        return {"attributes": json.dumps({name: text for name, text in said.items() if text is not None}), "secrets": "{}",
                "target_path": "/var/lib/kubelet/pods/x/volumes/kubernetes.io~csi/secrets/mount", "permission": permission,
                "current_object_version": versions}

    def mount(self, wanted, **options):
        return self.call("Mount", **self.request(wanted, **options))

    def files(self, wanted, **options):
        return {file.path: file.contents for file in self.mount(wanted, **options).files}


class House:
    def __init__(self, directory, folder, environment=None, **sections):
        self.service, self.folder = Service(directory, environment=environment or {}), folder
        self.service.write_config(
            unix="  unix:\n" + door(self.path("csi"), protocol="csi", uids={os.geteuid(): DRIVER}) + pods(PODS)
            + door(self.path("strangers"), protocol="csi", uids={12345: DRIVER}) + pods(PODS)
            + door(self.path("kms"), protocol="kms", principal=WEB),
            **sections,
        )
        self.service.init().start()

    def path(self, name):
        return os.path.join(self.folder, name)

    def driver(self, name="csi"):
        return Driver(self.path(name))

    def secret(self, name, value, readers=(WEB,), **fields):
        """Version id of a new secret."""
        kind, policy = "secret_binary" if isinstance(value, bytes) else "secret_string", secret_policy(users=readers)
        with self.service.client(ADMIN) as admin:
            return admin.CreateSecret(name=name, value={kind: value}, resource_policy=policy, **fields).version_id

    def put(self, name, value):
        with self.service.client(ADMIN) as admin:
            return admin.PutSecretValue(secret_id=name, value={"secret_string": value}).version_id


def house_of(tmp_path_factory, **sections):
    folder = tempfile.mkdtemp(prefix="kmsd-csi-")  # a short path: sockets have 107 bytes
    built = House(tmp_path_factory.mktemp("csi") / "home", folder, **sections)
    yield built
    built.service.stop()
    shutil.rmtree(folder)
