"""An independent client of kmsd: grpcio and code generated from proto/ (harness.protos makes it)."""


class Failure(Exception):
    """A failed call: gRPC code name, stable reason, message."""

    def __init__(self, error):
        import kms_rpc_status_pb2 as status_pb2

        self.code = error.code().name
        self.message = error.details()
        self.reason = self.request_id = self.retry_seconds = None
        self.metadata = {}
        for key, value in error.trailing_metadata() or ():
            if key == "grpc-status-details-bin":
                status = status_pb2.Status.FromString(value)
                for detail in status.details:
                    if detail.type_url.endswith("google.rpc.RetryInfo"):
                        delay = status_pb2.RetryInfo.FromString(detail.value).retry_delay
                        self.retry_seconds = delay.seconds + delay.nanos / 1e9
                    if detail.type_url.endswith("google.rpc.ErrorInfo"):
                        info = status_pb2.ErrorInfo.FromString(detail.value)
                        assert info.domain == "kmsd"
                        self.reason = info.reason
                        self.metadata = dict(info.metadata)
                        self.request_id = info.metadata.get("request_id")
        super().__init__(f"{self.code} {self.reason}: {self.message}")


def failure(call, *args, **fields):
    """How the call fails, which it must."""
    try:
        call(*args, **fields)
    except Failure as caught:
        return caught
    raise AssertionError("the call succeeded")


class Client:
    """Every RPC of proto/ as a method with keyword fields; an independent client: grpcio and generated code."""

    def __init__(self, service, uri, certificate=None, ca="ca", unix=None, target=None, options=()):
        import grpc
        from kms.v1 import approvals_pb2, audit_pb2, batch_pb2, crypto_pb2, grants_pb2, import_pb2, keys_pb2, policy_pb2
        from kms.v1 import leases_pb2, secrets_pb2, system_pb2

        self.grpc, self.service = grpc, service
        self.modules = {
            "ApprovalService": approvals_pb2,
            "AuditService": audit_pb2,
            "BatchService": batch_pb2,
            "CryptoService": crypto_pb2,
            "GrantService": grants_pb2,
            "ImportService": import_pb2,
            "KeyService": keys_pb2,
            "PolicyService": policy_pb2,
            "SecretService": secrets_pb2,
            "LeaseService": leases_pb2,
            "SystemService": system_pb2,
        }
        if unix:
            self.channel = grpc.insecure_channel(
                f"unix:{unix}", options=[("grpc.use_local_subchannel_pool", 1)]
            )
            return
        directory = service.certs.dir
        name = certificate or service.certs.client(uri)
        credentials = grpc.ssl_channel_credentials(
            (directory / f"{ca}.pem").read_bytes(),
            (directory / f"{name}.key").read_bytes(),
            (directory / f"{name}.pem").read_bytes(),
        )
        self.channel = grpc.secure_channel(
            target or f"localhost:{service.port}",
            credentials,
            options=[("grpc.use_local_subchannel_pool", 1), *options],
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()

    def close(self):
        self.channel.close()

    def method(self, name):
        for service, module in self.modules.items():
            descriptor = module.DESCRIPTOR.services_by_name[service]
            if name in descriptor.methods_by_name:
                method = descriptor.methods_by_name[name]
                request = getattr(module, method.input_type.name)
                reply = getattr(module, method.output_type.name)
                return f"/kms.v1.{service}/{name}", request, reply
        raise AttributeError(name)

    def raw(self, path, data, timeout=20, compression=None):
        """Bytes out, bytes in."""
        call = self.channel.unary_unary(path, request_serializer=bytes, response_deserializer=bytes)
        try:
            return call(data, timeout=timeout, compression=compression)
        except self.grpc.RpcError as error:
            raise Failure(error) from None

    def __getattr__(self, name):
        path, request, reply = self.method(name)

        def call(timeout=20, metadata=None, compression=None, **fields):
            function = self.channel.unary_unary(
                path, request_serializer=request.SerializeToString, response_deserializer=reply.FromString
            )
            for document in ("policy", "resource_policy"):
                if fields.get(document):
                    self.service.policies.keep(fields[document])
            try:
                return function(
                    request(**fields), timeout=timeout, metadata=metadata, compression=compression
                )
            except self.grpc.RpcError as error:
                raise Failure(error) from None

        return call

    def start(self, name, metadata=None, compression=None, **fields):
        """A call under way (grpc future). Keep it: grpcio cancels a call that nobody refers to any more."""
        path, request, reply = self.method(name)
        if fields.get("policy"):
            self.service.policies.keep(fields["policy"])
        function = self.channel.unary_unary(
            path, request_serializer=request.SerializeToString, response_deserializer=reply.FromString
        )
        return function.future(request(**fields), timeout=30, metadata=metadata, compression=compression)

    def stream(self, name, timeout=60, metadata=None, compression=None, **fields):
        """A stream under way: iterate over its messages, or cancel() it."""
        path, request, reply = self.method(name)
        function = self.channel.unary_stream(
            path, request_serializer=request.SerializeToString, response_deserializer=reply.FromString
        )
        return Stream(self.grpc, function(request(**fields), timeout=timeout, metadata=metadata, compression=compression))


class Stream:
    def __init__(self, grpc, call):
        self.grpc, self.call, self.cancel = grpc, call, call.cancel

    def __iter__(self):
        return self

    def __next__(self):
        try:
            return next(self.call)
        except self.grpc.RpcError as error:
            raise Failure(error) from None

    def end(self):
        """Reads to the end, which is a failure: that one."""
        try:
            for _ in self:
                pass
        except Failure as failure:
            return failure
        return None
