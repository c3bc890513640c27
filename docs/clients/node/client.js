#!/usr/bin/env node
// kmsd from Node: encrypts texts, and seals files under data keys. ../README.md says how to run this.
'use strict';

const USAGE = `client.js text KEY TEXT      encrypts and decrypts it
client.js seal KEY IN OUT    seals a file
client.js open IN OUT        opens it again`;

const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const CONTEXT = {purpose: 'docs/clients'}; // of every call: bound to what is encrypted, seen in policies and in the audit log
const DEADLINE_MS = 30_000;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

// Nothing is generated: the protos are read when the program starts.
const protos = loader.loadSync(['kms/v1/crypto.proto', 'google/rpc/status.proto'], {
  includeDirs: [path.join(__dirname, '../../../proto')],
  keepCase: true,
  enums: String,
});
const CryptoService = grpc.loadPackageDefinition(protos).kms.v1.CryptoService;

// Mutual TLS: kmsd shows a certificate of the CA for the name in KMS_ENDPOINT, and we show who we are.
function connect() {
  const [ca, key, certificate] = ['KMS_CA', 'KMS_KEY_FILE', 'KMS_CERT'].map((name) => fs.readFileSync(process.env[name]));
  return new CryptoService(process.env.KMS_ENDPOINT, grpc.credentials.createSsl(ca, key, certificate));
}

function call(kms, method, request) {
  return new Promise((resolve, reject) => {
    kms[method](request, {deadline: Date.now() + DEADLINE_MS}, (error, reply) => (error ? reject(error) : resolve(reply)));
  });
}

async function encrypt(kms, keyId, plaintext) {
  const reply = await call(kms, 'Encrypt', {key_id: keyId, plaintext, encryption_context: CONTEXT});
  return reply.ciphertext_blob;
}

// Which key it was says the ciphertext; the context must be the same.
async function decrypt(kms, ciphertext) {
  const reply = await call(kms, 'Decrypt', {ciphertext_blob: ciphertext, encryption_context: CONTEXT});
  return reply.plaintext;
}

// Length of the wrapped data key, the wrapped data key, nonce, AES-256-GCM of the text with its tag.
async function seal(kms, keyId, plaintext) {
  const dataKey = await call(kms, 'GenerateDataKey', {
    key_id: keyId, key_spec: 'DATA_KEY_SPEC_AES_256', encryption_context: CONTEXT,
  });
  try {
    const length = Buffer.alloc(2);
    length.writeUInt16BE(dataKey.ciphertext_blob.length);
    const head = Buffer.concat([length, dataKey.ciphertext_blob]);
    const nonce = crypto.randomBytes(NONCE_BYTES);
    const cipher = crypto.createCipheriv('aes-256-gcm', dataKey.plaintext, nonce).setAAD(head);
    return Buffer.concat([head, nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
  } finally {
    dataKey.plaintext.fill(0);
  }
}

class Changed extends Error {}

async function open(kms, sealed) {
  const length = 2 + (sealed.length < 2 ? 0 : sealed.readUInt16BE());
  if (sealed.length < length + NONCE_BYTES + TAG_BYTES) {
    throw new Changed();
  }
  const head = sealed.subarray(0, length);
  const nonce = sealed.subarray(length, length + NONCE_BYTES);
  const key = await decrypt(kms, head.subarray(2));
  try {
    const decipher = crypto.createDecipheriv('aes-256-gcm', key, nonce, {authTagLength: TAG_BYTES});
    decipher.setAAD(head).setAuthTag(sealed.subarray(-TAG_BYTES));
    return Buffer.concat([decipher.update(sealed.subarray(length + NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
  } catch {
    throw new Changed();
  } finally {
    key.fill(0);
  }
}

// kmsd's stable reason, and the id under which its audit log has the call; else what the transport says.
function describe(error) {
  if (error instanceof Changed) {
    return 'this file was changed, or is none of ours';
  }
  for (const status of error.metadata?.get('grpc-status-details-bin') ?? []) {
    for (const detail of protos['google.rpc.Status'].deserialize(status).details) {
      if (detail.type_url === 'type.googleapis.com/google.rpc.ErrorInfo') {
        const info = protos['google.rpc.ErrorInfo'].deserialize(detail.value);
        return `${info.reason}: ${error.details} (request ${info.metadata.request_id})`;
      }
    }
  }
  return error.details === undefined ? error.message : `${grpc.status[error.code]}: ${error.details}`;
}

async function main([command, ...rest]) {
  const kms = connect();
  try {
    if (command === 'text' && rest.length === 2) {
      const ciphertext = await encrypt(kms, rest[0], Buffer.from(rest[1]));
      console.log(`${ciphertext.length} bytes of ciphertext; decrypted: ${await decrypt(kms, ciphertext)}`);
    } else if (command === 'seal' && rest.length === 3) {
      fs.writeFileSync(rest[2], await seal(kms, rest[0], fs.readFileSync(rest[1])), {mode: 0o600});
    } else if (command === 'open' && rest.length === 2) {
      fs.writeFileSync(rest[1], await open(kms, fs.readFileSync(rest[0])), {mode: 0o600});
    } else {
      throw new Error(USAGE);
    }
  } finally {
    kms.close();
  }
}

main(process.argv.slice(2)).catch((error) => {
  console.error(describe(error));
  process.exitCode = 1;
});
