// Command client uses kmsd from Go: it encrypts texts, and seals files under data keys. ../README.md says how to run it.
package main

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	kmsv1 "kmsd/proto/kms/v1"
)

const usage = `client text KEY TEXT      encrypts and decrypts it
client seal KEY IN OUT    seals a file
client open IN OUT        opens it again`

const (
	deadline   = 30 * time.Second
	nonceBytes = 12
	tagBytes   = 16
)

// Of every call: bound to what is encrypted, seen in policies and in the audit log.
var encryptionContext = map[string]string{"purpose": "docs/clients"}

var errChanged = errors.New("this file was changed, or is none of ours")

// connect speaks mutual TLS: kmsd shows a certificate of the CA for the name in KMS_ENDPOINT, and we show who we are.
func connect() (*grpc.ClientConn, error) {
	ca, err := os.ReadFile(os.Getenv("KMS_CA"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, errors.New("KMS_CA: no certificate in PEM")
	}
	own, err := tls.LoadX509KeyPair(os.Getenv("KMS_CERT"), os.Getenv("KMS_KEY_FILE"))
	if err != nil {
		return nil, err
	}
	config := &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS13}
	return grpc.NewClient(os.Getenv("KMS_ENDPOINT"), grpc.WithTransportCredentials(credentials.NewTLS(config)))
}

func encrypt(ctx context.Context, kms kmsv1.CryptoServiceClient, keyID string, plaintext []byte) ([]byte, error) {
	reply, err := kms.Encrypt(ctx, &kmsv1.EncryptRequest{
		KeyId: keyID, Plaintext: plaintext, EncryptionContext: encryptionContext,
	})
	return reply.GetCiphertextBlob(), err
}

// decrypt: which key it was says the ciphertext; the context must be the same.
func decrypt(ctx context.Context, kms kmsv1.CryptoServiceClient, ciphertext []byte) ([]byte, error) {
	reply, err := kms.Decrypt(ctx, &kmsv1.DecryptRequest{
		CiphertextBlob: ciphertext, EncryptionContext: encryptionContext,
	})
	return reply.GetPlaintext(), err
}

func gcmOf(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// seal gives the length of the wrapped data key, the wrapped data key, nonce, AES-256-GCM of the text with its tag.
func seal(ctx context.Context, kms kmsv1.CryptoServiceClient, keyID string, plaintext []byte) ([]byte, error) {
	dataKey, err := kms.GenerateDataKey(ctx, &kmsv1.GenerateDataKeyRequest{
		KeyId: keyID, KeySpec: kmsv1.DataKeySpec_DATA_KEY_SPEC_AES_256, EncryptionContext: encryptionContext,
	})
	if err != nil {
		return nil, err
	}
	defer clear(dataKey.Plaintext)
	gcm, err := gcmOf(dataKey.Plaintext)
	if err != nil {
		return nil, err
	}
	head := binary.BigEndian.AppendUint16(nil, uint16(len(dataKey.CiphertextBlob)))
	head = append(head, dataKey.CiphertextBlob...)
	nonce := make([]byte, nonceBytes)
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return gcm.Seal(append(head[:len(head):len(head)], nonce...), nonce, plaintext, head), nil
}

func open(ctx context.Context, kms kmsv1.CryptoServiceClient, sealed []byte) ([]byte, error) {
	if len(sealed) < 2 {
		return nil, errChanged
	}
	length := 2 + int(binary.BigEndian.Uint16(sealed))
	if len(sealed) < length+nonceBytes+tagBytes {
		return nil, errChanged
	}
	head, nonce, ciphertext := sealed[:length], sealed[length:length+nonceBytes], sealed[length+nonceBytes:]
	key, err := decrypt(ctx, kms, head[2:])
	if err != nil {
		return nil, err
	}
	defer clear(key)
	gcm, err := gcmOf(key)
	if err != nil {
		return nil, errChanged
	}
	plaintext, err := gcm.Open(nil, nonce, ciphertext, head)
	if err != nil {
		return nil, errChanged
	}
	return plaintext, nil
}

// describe gives kmsd's stable reason, and the id under which its audit log has the call; else what the transport says.
func describe(err error) string {
	failed, ok := status.FromError(err)
	if !ok {
		return err.Error()
	}
	for _, detail := range failed.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return fmt.Sprintf("%s: %s (request %s)", info.Reason, failed.Message(), info.Metadata["request_id"])
		}
	}
	return fmt.Sprintf("%s: %s", failed.Code(), failed.Message())
}

// convert reads a file, and writes what it becomes for nobody else to read.
func convert(source, target string, how func([]byte) ([]byte, error)) error {
	data, err := os.ReadFile(source)
	if err != nil {
		return err
	}
	if data, err = how(data); err != nil {
		return err
	}
	return os.WriteFile(target, data, 0o600)
}

func text(ctx context.Context, kms kmsv1.CryptoServiceClient, keyID, words string) error {
	ciphertext, err := encrypt(ctx, kms, keyID, []byte(words))
	if err != nil {
		return err
	}
	plaintext, err := decrypt(ctx, kms, ciphertext)
	if err != nil {
		return err
	}
	fmt.Printf("%d bytes of ciphertext; decrypted: %s\n", len(ciphertext), plaintext)
	return nil
}

func run(arguments []string) error {
	channel, err := connect()
	if err != nil {
		return err
	}
	defer channel.Close()
	kms := kmsv1.NewCryptoServiceClient(channel)
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()

	switch command := fmt.Sprint(append(arguments, "")[0], " ", len(arguments)); command {
	case "text 3":
		return text(ctx, kms, arguments[1], arguments[2])
	case "seal 4":
		return convert(arguments[2], arguments[3], func(data []byte) ([]byte, error) {
			return seal(ctx, kms, arguments[1], data)
		})
	case "open 3":
		return convert(arguments[1], arguments[2], func(data []byte) ([]byte, error) {
			return open(ctx, kms, data)
		})
	}
	return errors.New(usage)
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, describe(err))
		os.Exit(1)
	}
}
