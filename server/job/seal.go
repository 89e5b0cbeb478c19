package job

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/millrace/millrace/catalog/sqlstate"
)

// Sealer encrypts secrets of the catalog with a key that lies beside the data, so that
// neither the catalog nor the log shows them.
type Sealer struct{ aead cipher.AEAD }

// keyFile is the key's file in the data directory: 32 random bytes.
const keyFile = "secret.key"

// sealVersion is the first byte of what is sealed; a nonce and the ciphertext follow.
const sealVersion = 1

// OpenSealer reads the data directory's key, or makes one.
func OpenSealer(dir string) (*Sealer, error) {
	name := filepath.Join(dir, keyFile)
	key, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		key = make([]byte, 32)
		if _, err := rand.Read(key); err != nil {
			return nil, err
		}
		if err := writeKey(dir, name, key); err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	if len(key) != 32 {
		return nil, fmt.Errorf("%s is not a key of 32 bytes", name)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &Sealer{aead}, nil
}

func writeKey(dir, name string, key []byte) error {
	f, err := os.OpenFile(name+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(key)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(name+".new", name); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Seal encrypts secrets.
func (s *Sealer) Seal(secrets map[string]string) ([]byte, error) {
	plain, err := json.Marshal(secrets)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 1+s.aead.NonceSize())
	out[0] = sealVersion
	if _, err := rand.Read(out[1:]); err != nil {
		return nil, err
	}
	return s.aead.Seal(out, out[1:], plain, nil), nil
}

// Unseal is the inverse of Seal; nothing gives nothing.
func (s *Sealer) Unseal(sealed []byte) (map[string]string, error) {
	if len(sealed) == 0 {
		return nil, nil
	}
	n := s.aead.NonceSize()
	if len(sealed) < 1+n || sealed[0] != sealVersion {
		return nil, sqlstate.Errorf(sqlstate.DataCorrupted, "stored secrets are malformed")
	}
	plain, err := s.aead.Open(nil, sealed[1:1+n], sealed[1+n:], nil)
	if err != nil {
		return nil, sqlstate.Errorf(sqlstate.DataCorrupted, "stored secrets cannot be read with the key of this data directory").
			WithHint("Give them again with ALTER SUBSCRIPTION, or put %s back.", keyFile)
	}
	out := map[string]string{}
	return out, json.Unmarshal(plain, &out)
}
