# What deploy/quickstart does, step by step. For bash, after deploy/lib.sh.
# shellcheck shell=bash

KMSD_HOME=${KMSD_HOME:-$KMS_ROOT/.kmsd}
KMSD_PORT=${KMSD_PORT:-8443}
KMSD_USER=kmsd KMS_HSM_USER=kms-hsm
TOKEN_LABEL=kmsd-quickstart

# The daemon runs as users of its own, who must be able to walk to its files. A checkout below a private directory such as
# /root keeps them in /var/lib, with .kmsd as a link.
quickstart_home() {
    [ -e "$KMSD_HOME" ] && { KMSD_HOME=$(realpath "$KMSD_HOME"); return; }
    local above
    above=$(realpath -m "$KMSD_HOME/..")
    while [ "$above" != / ]; do
        if [ -d "$above" ] && [ "$(($(stat -c '0%a' "$above") & 1))" = 0 ]; then
            local real
            real=/var/lib/kmsd-quickstart-$(printf '%s' "$KMSD_HOME" | sha256sum | cut -c1-8)
            kms_say "Others may not enter $above: state goes to $real, $KMSD_HOME is a link to it"
            kms_as_root mkdir -p "$real"
            ln -s "$real" "$KMSD_HOME"
            KMSD_HOME=$real
            return
        fi
        above=$(dirname "$above")
    done
    mkdir -p "$KMSD_HOME"
    KMSD_HOME=$(realpath "$KMSD_HOME")
}

quickstart_build() {
    local log=$KMS_ROOT/build/quickstart.log
    kms_say "Building (preset release; log: build/quickstart.log)"
    cmake --preset release -DBUILD_TESTING=OFF >"$log" 2>&1 || { cat "$log" >&2; return 1; }
    if [ -n "$KMS_TERMINAL" ]; then
        cmake --build --preset release # ninja shows its progress
    else
        cmake --build --preset release >>"$log" 2>&1 || { tail -n 40 "$log" >&2; return 1; }
    fi
    kms_as_root cmake --install build/release --prefix "$KMSD_HOME/usr" >>"$log"
}

quickstart_users() {
    local user
    for user in $KMSD_USER $KMS_HSM_USER; do
        getent passwd "$user" >/dev/null && continue
        kms_say "Making the system user $user"
        kms_as_root useradd --system --user-group --no-create-home --shell /usr/sbin/nologin "$user"
        kms_as_root touch "$KMSD_HOME/made-user-$user" # for clean
    done
}

# Directories: keys of the token belong to kms-hsm alone, state to kmsd, certificates to whoever runs this.
quickstart_directories() {
    kms_as_root install -d -m 0755 "$KMSD_HOME" "$KMSD_HOME/etc"
    kms_as_root install -d -m 0700 -o $KMS_HSM_USER -g $KMS_HSM_USER "$KMSD_HOME/token" "$KMSD_HOME/token/objects"
    kms_as_root install -d -m 0750 -o $KMSD_USER -g $KMSD_USER "$KMSD_HOME/state"
    kms_as_root install -d -m 0755 -o $KMSD_USER -g $KMSD_USER "$KMSD_HOME/audit"
    kms_as_root install -d -m 0755 -o "$(id -u)" -g "$(id -g)" "$KMSD_HOME/clients" "$KMSD_HOME/ca"
}

# The numbers of the users may differ on another machine than the one of the backup.
quickstart_owners() {
    kms_as_root chown -R $KMS_HSM_USER:$KMS_HSM_USER "$KMSD_HOME/token"
    kms_as_root chown -R $KMSD_USER:$KMSD_USER "$KMSD_HOME/state" "$KMSD_HOME/audit"
    kms_as_root chown -R "$(id -u):$(id -g)" "$KMSD_HOME/clients" "$KMSD_HOME/ca"
}

quickstart_token() {
    local conf=$KMSD_HOME/etc/softhsm2.conf pin
    kms_as_root test -e "$KMSD_HOME/token/pin" && return
    kms_say "Initialising a SoftHSM token"
    printf 'directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n' "$KMSD_HOME/token/objects" |
        quickstart_write "$conf" 0644 root
    pin=$(openssl rand -hex 16)
    kms_as_user $KMS_HSM_USER env SOFTHSM2_CONF="$conf" softhsm2-util --init-token --free --label "$TOKEN_LABEL" \
        --so-pin "$(openssl rand -hex 16)" --pin "$pin" >/dev/null
    printf '%s\n' "$pin" | quickstart_write "$KMSD_HOME/token/pin" 0600 $KMS_HSM_USER
}

kms_as_user() { # USER COMMAND...
    local user=$1
    shift
    kms_as_root setpriv --reuid "$user" --regid "$user" --init-groups "$@"
}

quickstart_write() { # FILE MODE OWNER: standard input, all at once
    local temporary
    temporary=$(mktemp)
    cat >"$temporary"
    kms_as_root install -m "$2" -o "$3" -g "$3" "$temporary" "$1"
    rm -f "$temporary"
}

quickstart_sign() { # NAME EXTENSION: a certificate for a year, by the quickstart's own CA
    local dir=$KMSD_HOME/clients/$1
    [ -e "$dir/cert.pem" ] && return
    install -d -m 0755 "$dir"
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" \
        -keyout "$dir/key.pem" -out "$dir/request.pem" 2>/dev/null
    openssl x509 -req -in "$dir/request.pem" -CA "$KMSD_HOME/ca/ca.pem" -CAkey "$KMSD_HOME/ca/ca.key" -CAcreateserial \
        -days 365 -extfile <(printf '%s\n' "$2") -out "$dir/cert.pem" 2>/dev/null
    chmod 0600 "$dir/key.pem"
    rm "$dir/request.pem"
}

principal() { printf 'spiffe://quickstart.example/%s' "$1"; }

quickstart_certificates() {
    if [ ! -e "$KMSD_HOME/ca/ca.pem" ]; then
        kms_say "Making a certificate authority, and certificates for kmsd and its callers: admin, app, service"
        (umask 077 && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 -subj '/CN=kmsd quickstart CA' \
            -keyout "$KMSD_HOME/ca/ca.key" -out "$KMSD_HOME/ca/ca.pem" 2>/dev/null)
        chmod 0644 "$KMSD_HOME/ca/ca.pem"
    fi
    quickstart_sign server 'subjectAltName=DNS:localhost,IP:127.0.0.1'
    local name
    for name in admin app service; do quickstart_sign "$name" "subjectAltName=URI:$(principal "$name")"; done
    kms_as_root install -d -m 0750 -o $KMSD_USER -g $KMSD_USER "$KMSD_HOME/state/tls"
    kms_as_root install -m 0600 -o $KMSD_USER -g $KMSD_USER "$KMSD_HOME/clients/server/key.pem" "$KMSD_HOME/state/tls/key.pem"
    kms_as_root install -m 0644 -o $KMSD_USER -g $KMSD_USER "$KMSD_HOME/clients/server/cert.pem" "$KMSD_HOME/state/tls/cert.pem"
}

quickstart_configuration() {
    quickstart_write "$KMSD_HOME/etc/service-policy.json" 0644 root <<END
{
  "Version": "2012-10-17",
  "Statement": [
    {"Sid": "Administrators", "Effect": "Allow", "Principal": {"AWS": "$(principal admin)"},
     "Action": ["kms:CreateKey", "kms:ListKeys", "kms:ListAliases", "kms:GetStatus", "kms:GetMetrics",
                "kms:RotateRoot", "kms:GetRootStatus", "kms:DestroyRoot",
                "kms:GetAuditHead", "kms:GetAuditKey", "kms:ListAuditRecords",
                "secretsmanager:CreateSecret", "secretsmanager:ListSecrets", "secretsmanager:GetRandomPassword"],
     "Resource": "*"},
    {"Sid": "Programs", "Effect": "Allow", "Principal": {"AWS": ["$(principal app)", "$(principal service)"]},
     "Action": "kms:GenerateRandom", "Resource": "*"}
  ]
}
END
    quickstart_write "$KMSD_HOME/etc/kmsd.yaml" 0644 root <<END
# Made by deploy/quickstart. Every option: kmsd sample-config
state_dir: $KMSD_HOME/state
process:
  user: $KMSD_USER
listen:
  tls: 127.0.0.1:$KMSD_PORT
tls:
  cert: $KMSD_HOME/state/tls/cert.pem
  key: $KMSD_HOME/state/tls/key.pem
  client_ca: $KMSD_HOME/ca/ca.pem
policy:
  service: $KMSD_HOME/etc/service-policy.json
hsm:
  uri: "pkcs11:token=$TOKEN_LABEL?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:$KMSD_HOME/token/pin"
  worker_path: $KMSD_HOME/usr/libexec/kmsd/kms-hsm
  worker_user: $KMS_HSM_USER
keystore:
  path: $KMSD_HOME/state/keystore.db
audit:
  dir: $KMSD_HOME/audit
END
    local name
    { # by the address: a bare system may have no name for it
        printf 'current_context: admin\ncontexts:\n'
        for name in admin app service; do
            printf -- '  - name: %s\n    endpoint: 127.0.0.1:%s\n    ca: %s\n' "$name" "$KMSD_PORT" "$KMSD_HOME/ca/ca.pem"
            printf '    cert: %s\n    key: %s\n' "$KMSD_HOME/clients/$name/cert.pem" "$KMSD_HOME/clients/$name/key.pem"
            printf '    audit_dir: %s\n' "$KMSD_HOME/audit"
        done
    } >"$KMSD_HOME/clients/kmsctl.yaml"
}

quickstart_running() { # prints the pid
    local pid
    pid=$(cat "$KMSD_HOME/kmsd.pid" 2>/dev/null) || return 1
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = kmsd ] && printf '%s' "$pid"
}

quickstart_init() {
    kms_as_root test -e "$KMSD_HOME/state/keystore.db" && return
    kms_say "Making root keys on the token (kmsd init)"
    kms_as_root env SOFTHSM2_CONF="$KMSD_HOME/etc/softhsm2.conf" "$KMSD_HOME/usr/sbin/kmsd" --config "$KMSD_HOME/etc/kmsd.yaml" init
}

quickstart_run() {
    local pid
    if pid=$(quickstart_running); then
        if [[ $(kms_as_root readlink "/proc/$pid/exe") != *'(deleted)' ]]; then
            kms_say "kmsd runs already (pid $pid)"
            return
        fi
        kms_say "kmsd was built anew since it started: starting it again"
        quickstart_stop
    fi
    kms_say "Starting kmsd on 127.0.0.1:$KMSD_PORT (log: $KMSD_HOME/kmsd.log)"
    : >"$KMSD_HOME/kmsd.log" # here, not by the job: else the last one's event=ready may be found below
    # shellcheck disable=SC2016 # the inner shell expands
    kms_as_root env SOFTHSM2_CONF="$KMSD_HOME/etc/softhsm2.conf" setsid bash -c \
        'echo $$ >"$1/kmsd.pid"; exec "$1/usr/sbin/kmsd" --config "$1/etc/kmsd.yaml"' - "$KMSD_HOME" \
        </dev/null >"$KMSD_HOME/kmsd.log" 2>&1 &
    disown
    local i
    for ((i = 0; i < 300; i++)); do
        grep -q 'event=ready' "$KMSD_HOME/kmsd.log" 2>/dev/null && return
        if [ "$i" -gt 20 ] && ! quickstart_running >/dev/null; then break; fi
        sleep 0.1
    done
    kms_complain "kmsd did not start:"
    tail -n 5 "$KMSD_HOME/kmsd.log" >&2
    return 1
}

quickstart_start() {
    cd "$KMS_ROOT" || return
    kms_install build run
    mkdir -p build
    quickstart_home
    quickstart_build
    quickstart_users
    quickstart_directories
    quickstart_token
    quickstart_certificates
    quickstart_configuration
    quickstart_init
    quickstart_run
}

quickstart_stop() {
    [ -e "$KMSD_HOME" ] && KMSD_HOME=$(realpath "$KMSD_HOME")
    local pid i
    if ! pid=$(quickstart_running); then
        kms_say "kmsd does not run"
        return
    fi
    kms_say "Stopping kmsd (pid $pid)"
    kms_as_root kill -TERM "$pid"
    for ((i = 0; i < 200; i++)); do
        quickstart_running >/dev/null || return 0
        sleep 0.1
    done
    kms_complain "kmsd (pid $pid) still runs after 20 s: see $KMSD_HOME/kmsd.log"
    return 1
}

quickstart_clean() {
    local user link=$KMSD_HOME
    quickstart_stop
    [ -e "$KMSD_HOME/etc/kmsd.yaml" ] || { kms_say "Nothing to clean in $link"; return; }
    kms_say "Deleting $KMSD_HOME, keys included"
    for user in $KMSD_USER $KMS_HSM_USER; do
        if [ -e "$KMSD_HOME/made-user-$user" ]; then kms_as_root userdel "$user"; fi
    done
    kms_as_root rm -rf "$KMSD_HOME"
    if [ -L "$link" ]; then rm "$link"; fi
}
