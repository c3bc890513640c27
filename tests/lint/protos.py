#!/usr/bin/env python3
"""The public contract keeps one style, and one set of names: protos, method.def and action.def agree, and with AWS KMS.

Style: https://protobuf.dev/programming-guides/style and https://google.aip.dev/191 (go_package). Every service, rpc, message
and field has a comment, but a field whose name and type say all: named like its own type, or explained once in its file.
What others wrote the names of (SOPS, Kubernetes, gRPC) is held to the form of files only. wire.py holds what was released.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
CASES = {"message": r"[A-Z][A-Za-z0-9]*", "service": r"[A-Z][A-Za-z0-9]*Service", "rpc": r"[A-Z][A-Za-z0-9]*",
         "enum": r"[A-Z][A-Za-z0-9]*", "field": r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*", "value": r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*",
         "oneof": r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*"}
FIELD = re.compile(r"(?P<repeated>repeated |optional )?(?P<type>map<[\w., ]+>|[\w.]+) (?P<name>\w+) = (?P<number>\d+)[^;]*;")
VERSION = r"v[1-9]\d*(?:(?:alpha|beta)[1-9]\d*)?"
HEAD_ORDER = ("syntax", "package", "import", "option")
NO_PLURAL = {"lost"}  # repeated fields that are named right all the same
RESERVED_NUMBERS = range(19000, 20000)  # protobuf's own
# Explained once for all: the head of crypto.proto, and AWS's names for pages.
KNOWN_FIELDS = {"key_id", "key_arn", "alias_name", "alias_arn", "marker", "next_marker", "truncated", "key_metadata", "keys",
                "aliases", "available",
                # The head of secrets.proto.
                "secret_id", "arn", "name", "version_id", "version_stage", "version_stages", "created_us"}
# Operations of AWS KMS (API reference, "Actions"); what is not among them is ours and stands in OURS.
AWS = set("""CancelKeyDeletion CreateAlias CreateGrant CreateKey Decrypt DeleteAlias DeleteImportedKeyMaterial DeriveSharedSecret
DescribeKey DisableKey DisableKeyRotation EnableKey EnableKeyRotation Encrypt GenerateDataKey GenerateDataKeyPair
GenerateDataKeyPairWithoutPlaintext GenerateDataKeyWithoutPlaintext GenerateMac GenerateRandom GetKeyPolicy GetKeyRotationStatus
GetParametersForImport GetPublicKey ImportKeyMaterial ListAliases ListGrants ListKeyPolicies ListKeyRotations ListKeys
ListResourceTags ListRetirableGrants PutKeyPolicy ReEncrypt ReplicateKey RetireGrant RevokeGrant RotateKeyOnDemand
ScheduleKeyDeletion Sign TagResource UntagResource UpdateAlias UpdateKeyDescription UpdatePrimaryRegion Verify VerifyMac""".split())
# Operations of AWS Secrets Manager (API reference, "Actions"), and ours about secrets, database roles and leases.
AWS_SECRETS = set("""BatchGetSecretValue CancelRotateSecret CreateSecret DeleteResourcePolicy DeleteSecret DescribeSecret
GetRandomPassword GetResourcePolicy GetSecretValue ListSecretVersionIds ListSecrets PutResourcePolicy PutSecretValue
RemoveRegionsFromReplication ReplicateSecretToRegions RestoreSecret RotateSecret StopReplicationToReplica TagResource UntagResource
UpdateSecret UpdateSecretVersionStage ValidateResourcePolicy""".split())
OUR_SECRETS = {"RewrapSecret", "PutDatabaseRole", "DescribeDatabaseRole", "ListDatabaseRoles", "DeleteDatabaseRole",
               "GenerateCredentials", "RenewLease", "RevokeLease", "RevokePrefix", "ListLeases", "SweepLeases"}
PERMISSIONS_ONLY = {"ReEncryptFrom", "ReEncryptTo"}  # AWS's two actions of ReEncrypt
OURS = {"GetStatus", "GetMetrics", "SimulatePolicy", "GetKeyUsage", "RetireKeyVersion", "RotateRoot", "GetRootStatus", "DestroyRoot",
        "PutApprovalRule", "GetApprovalRule", "ListApprovals", "DescribeApproval", "ApproveRequest", "RejectRequest", "GetAuditHead",
        "GetAuditKey", "ListAuditRecords", "StreamAuditRecords", "TagSecret", "UntagSecret", "GetKeyCertificate"}
# Methods that need what another is named after: AWS's two of ReEncrypt; a stream gives what the list gives.
OTHER_WORDS = {("ReEncrypt", "ReEncryptFrom"), ("StreamAuditRecords", "ListAuditRecords"), ("TagSecret", "TagResource"),
               ("UntagSecret", "UntagResource")}
# AWS's request and response fields, camel case there; a field of ours with another name must not mean the same.
FOREIGN_SPELLINGS = {"plain_text": "plaintext", "cipher_text_blob": "ciphertext_blob", "keyid": "key_id", "context":
                     "encryption_context", "alias": "alias_name", "next_token": "next_marker", "page_token": "marker"}


def statements(source):
    """Yields (line number, text, has a comment) of each line that declares something."""
    commented = False
    for number, line in enumerate(source.splitlines(), 1):
        text, _, behind = line.partition("//")
        text = text.strip()
        if text:
            yield number, text, commented or bool(behind)
        commented = line.strip().startswith("//") or (commented and not line.strip())


class Scope:
    def __init__(self, kind, name):
        self.kind, self.name, self.numbers = kind, name, {}


def name_wrong(kind, name):
    if not re.fullmatch(CASES[kind], name):
        yield f"{kind} {name}: not named as {kind}s are"


def form_wrong(path, source):
    """What every file has, whoever chose its names: a comment at its head, the order of its head, and its layout."""
    if not source.startswith("//"):
        yield 1, "begins without a comment that says what it is for"
    if not re.fullmatch(r"[a-z][a-z0-9_]*\.proto", path.name):
        yield 1, "file names are lower_snake_case.proto"
    if 'syntax = "proto3";' not in source:
        yield 1, 'no syntax = "proto3"'
    if not re.search(r'^option go_package = "[\w./-]+(?:;\w+)?";', source, re.M):
        yield 1, "no go_package"
    words = re.findall(rf"^({'|'.join(HEAD_ORDER)}|message|service|enum)\b", source, re.M)
    ranks = [HEAD_ORDER.index(word) if word in HEAD_ORDER else len(HEAD_ORDER) for word in words]
    if ranks != sorted(ranks):
        yield 1, f"a file is {', '.join(HEAD_ORDER)}, then the rest"
    yield from layout_wrong(source)


def layout_wrong(source):
    """Two blanks for each level, at least four more for what goes on from the line above; no tabs, no blanks at ends of lines."""
    depth, unfinished = 0, False
    for number, line in enumerate(source.splitlines(), 1):
        code = re.sub(r'"[^"]*"', '""', line.partition("//")[0]).strip()
        want = 2 * (depth - code.startswith("}"))
        indent = len(line) - len(line.lstrip(" "))
        if line != line.rstrip() or "\t" in line:
            yield number, "a tab, or blanks at the end"
        elif line.strip() and (indent < want + 4 if unfinished and code else indent != want):
            yield number, f"begins after {indent} blanks, not {want + 4 * unfinished}"
        if "'" in code:
            yield number, "strings are in double quotes"
        depth += code.count("{") - code.count("}")
        unfinished = not code.endswith((";", "{", "}")) if code else unfinished
    if depth:
        yield number, "braces do not match"


def head_wrong(path, source):
    """Package, version, go_package, of a file of ours."""
    package = re.search(r"^package ([\w.]+);", source, re.M)
    if not package or package[1].replace(".", "/") != path.parent.as_posix():
        yield 1, "the package is not the folder"
        return
    if not re.fullmatch(VERSION, package[1].split(".")[-1]):
        yield 1, "the package ends in no version"
    if not re.search(rf'^option go_package = "[\w./-]*{package[1].replace(".", "/")};\w+";', source, re.M):
        yield 1, "no go_package that ends in the package's folder"


def imports_wrong(source, read):
    """read(path) is the text of an imported file, or None."""
    found = re.findall(r'^import (?:public |weak )?"([^"]+)";', source, re.M)
    rest = re.sub(r"//.*", "", source)
    if found != sorted(set(found)):
        yield 1, "imports are not sorted, or one is there twice"
    for path in found:
        text = read(path)
        if text is None:
            yield 1, f"{path} does not exist"
        elif not any(re.search(rf"\b{name}\b", rest) for name in re.findall(r"^(?:message|enum) (\w+)", text, re.M)):
            yield 1, f"nothing of {path} is used"


def field_wrong(scope, owner, found, commented):
    number, name = int(found["number"]), found["name"]
    yield from name_wrong("field", name)
    if number in owner.numbers:
        yield f"field {name}: number {number} is {owner.numbers[number]}'s"
    if number in RESERVED_NUMBERS or number < 1:
        yield f"field {name}: number {number} is reserved"
    owner.numbers[number] = name
    if found["repeated"] == "repeated " and not name.endswith("s") and name not in NO_PLURAL:
        yield f"field {name}: repeated, so its name is a plural"
    if name in FOREIGN_SPELLINGS:
        yield f"field {name}: AWS's name is {FOREIGN_SPELLINGS[name]}"
    own_type = re.sub(r"(?<!^)(?=[A-Z])", "_", found["type"]).lower()
    if not commented and scope.kind != "oneof" and name not in KNOWN_FIELDS and name != own_type:
        yield f"field {scope.name}.{name} has no comment"


def reserved_wrong(owner, text):
    """reserved 4, 6 to 8; takes the numbers."""
    for low, high in re.findall(r"(\d+)(?: to (\d+))?", text):
        for number in range(int(low), int(high or low) + 1):
            if number in owner.numbers:
                yield f"number {number} of {owner.numbers[number]} is reserved"
            owner.numbers[number] = "reserved"


def value_wrong(scope, text):
    found = re.match(r"(\w+) = (-?\d+)", text)
    number = int(found[2])
    prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", scope.name).upper() + "_"
    yield from name_wrong("value", found[1])
    if not found[1].startswith(prefix):
        yield f"value {found[1]}: begins without {prefix}"
    if number == 0 and found[1] != prefix + "UNSPECIFIED":
        yield f"value {found[1]}: zero is {prefix}UNSPECIFIED"
    if number in scope.numbers:
        yield f"value {found[1]}: number {number} is {scope.numbers[number]}'s"
    scope.numbers[number] = found[1]


def opened_wrong(kind, name, commented, scopes):
    yield from name_wrong(kind, name)
    request = re.search(r"(Request|Response)$", name)  # explained by its rpc
    if not commented and not (kind == "oneof" or kind == "message" and request and not scopes):
        yield f"{kind} {name} has no comment"
    if kind == "message" and scopes:
        yield f"message {name}: nested; depth of decoding is bounded by the schema, so messages stay flat"


def body_wrong(source):
    """Yields (line number, complaint) of everything between the braces."""
    scopes = []
    for number, text, commented in statements(source):
        opened = re.match(r"(message|service|enum|oneof) (\w+) \{", text)
        rpc = re.match(r"rpc (\w+)\(", text)
        field = FIELD.match(text)
        wrong = ()
        if opened:
            wrong = list(opened_wrong(opened[1], opened[2], commented, scopes))
            scopes.append(Scope(opened[1], opened[2]))
        elif rpc:
            wrong = list(name_wrong("rpc", rpc[1])) + ([] if commented else [f"rpc {rpc[1]} has no comment"])
        elif scopes and scopes[-1].kind == "enum" and re.match(r"\w+ = -?\d+", text):
            wrong = value_wrong(scopes[-1], text)
        elif scopes and text.startswith("reserved"):
            wrong = reserved_wrong(scopes[-1], text)
        elif field and scopes:
            owner = next(s for s in reversed(scopes) if s.kind != "oneof")
            wrong = field_wrong(scopes[-1], owner, field, commented)
        elif scopes and not re.match(r"option |returns |\}", text):
            wrong = [f"not understood: {text}"]
        yield from ((number, c) for c in wrong)
        if text.endswith("}") and scopes:
            scopes.pop()


def rpcs_of(source):
    """{service: {rpc: (request, response)}}"""
    services = {}
    for name, body in re.findall(r"^service (\w+) \{(.*?)^\}", source, re.S | re.M):
        services[name] = {m[0]: m[1:] for m in re.findall(r"rpc (\w+)\((?:stream )?(\w+)\)\s+returns \((?:stream )?(\w+)\)", body)}
    return services


def actions_of(source):
    """{symbol: (service, name)} of action.def"""
    return {symbol: (service, name) for symbol, service, name in
            re.findall(r'^KMS_ACTION\((\w+),\s*"(\w+):(\w+)"', source, re.M)}


def names_wrong(services, methods, actions):
    """Yields complaints. methods: (service, rpc, action symbol) of method.def."""
    rpcs = {(service, rpc) for service, found in services.items() for rpc in found}
    rows = {("".join(w.title() for w in service.split("_")), rpc) for service, rpc, _ in methods}
    yield from (f"rpc {s}.{r} has no row in method.def" for s, r in sorted(rpcs - rows))
    yield from (f"method.def: {s}.{r} is in no proto" for s, r in sorted(rows - rpcs))
    yield from (f"rpc {r} is in two services" for r in sorted({r for _, r in rpcs if sum(r == o for _, o in rpcs) > 1}))
    for service, found in services.items():
        for rpc, types in found.items():
            if types != (rpc + "Request", rpc + "Response"):
                yield f"rpc {rpc}: takes and returns {rpc}Request and {rpc}Response"
            if rpc.removesuffix("Batch") not in AWS | OURS | AWS_SECRETS | OUR_SECRETS:
                yield f"rpc {rpc}: no operation of AWS KMS or AWS Secrets Manager; if it is ours, say so in tests/lint/protos.py"
    for _, rpc, symbol in methods:
        single = rpc.removesuffix("Batch")
        if symbol not in actions:
            yield f"method.def: {rpc} needs {symbol}, which action.def has not"
        elif actions[symbol][1] != single and (single, actions[symbol][1]) not in OTHER_WORDS:
            yield f"method.def: {rpc} needs {':'.join(actions[symbol])}"
    keys = {name for service, name in actions.values() if service == "kms"}
    for symbol, (service, name) in actions.items():
        front = "SECRET_" if service != "kms" and name in keys else ""  # one name, two actions
        if symbol != front + re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.replace("ReEncrypt", "Reencrypt")).upper():
            yield f"action.def: {symbol} is not the symbol of {service}:{name}"
        known = {"kms": (AWS | OURS | PERMISSIONS_ONLY) - {"ReEncrypt"}, "secretsmanager": AWS_SECRETS | OUR_SECRETS}
        if name not in known.get(service, ()):
            yield f"action.def: AWS has no {service}:{name}"


def orphans_of(source):
    """Requests and responses that no rpc of the file takes or returns, and no field holds."""
    code = re.sub(r"//.*", "", source)
    for name in re.findall(r"^message (\w+(?:Request|Response)) \{", source, re.M):
        if len(re.findall(rf"\b{name}\b", code)) < 2:
            yield 1, f"message {name}: nothing has it"


def read_proto(path):
    file = ROOT / "proto" / path
    return file.read_text() if file.is_file() else None


def main():
    wrong, services = [], {}
    for path in sorted((ROOT / "proto").rglob("*.proto")):
        source, inside = path.read_text(), path.relative_to(ROOT / "proto")
        found = [*form_wrong(inside, source), *imports_wrong(source, read_proto)]
        if inside.parts[0] == "kms":
            found += [*head_wrong(inside, source), *body_wrong(source), *orphans_of(source)]
            services.update(rpcs_of(source))
        wrong += [f"proto/{inside}:{n}: {c}" for n, c in found]
    rows = (ROOT / "kmsd/service/method.def").read_text()
    methods = re.findall(r'^KMS_(?:CRYPTO|BATCH|ADMIN|GUARDED|CHANGE|STREAM)\((\w+),\s*"(\w+)",\s*(\w+),', rows, re.M)
    wrong += names_wrong(services, methods, actions_of((ROOT / "kmsd/policy/action.def").read_text()))
    print("\n".join(wrong))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
