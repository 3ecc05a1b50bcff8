package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/sign"
)

func keysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "keys", GroupID: "client", Short: "Make keys to sign versions with", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(keysNewCommand(), keysShowCommand())
	return cmd
}

func keysNewCommand() *cobra.Command {
	algorithm := string(sign.Ed25519)
	cmd := &cobra.Command{
		Use:   "new FILE",
		Short: "Make a key: FILE is the private half, beside it lies the public one",
		Long: `Make a key. FILE is the private half, not encrypted: keep it where versions are signed, and nowhere else. Beside it lies the
public half, .pub, for require_signed in the servers' configuration. Files that are there stay.`,
		Example: "  fairlead keys new release.key",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := sign.Generate(sign.Algorithm(algorithm), rand.Reader)
			if err != nil {
				return err
			}
			public := strings.TrimSuffix(args[0], filepath.Ext(args[0])) + ".pub"
			if public == args[0] {
				return fairlead.Invalid("%s is the name of the public half", public).Hintf("name the private one, for example release.key")
			}
			if err := writeKeys(key, args[0], public); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s is the private key, %s the public one (%s, %.12s)\n", args[0], public, key.Public().Algorithm(), key.Public().ID())
			return nil
		},
	}
	cmd.Flags().StringVar(&algorithm, "algorithm", algorithm, "ed25519 or ecdsa-p256")
	return cmd
}

// writeKeys writes both halves, or none.
func writeKeys(key *sign.PrivateKey, private, public string) error {
	secret, err := key.MarshalPEM()
	if err != nil {
		return err
	}
	text, err := key.Public().MarshalPEM()
	if err != nil {
		return err
	}
	if err := writeNew(private, secret, 0o600); err != nil {
		return err
	}
	if err := writeNew(public, text, 0o644); err != nil {
		return errors.Join(err, os.Remove(private))
	}
	return nil
}

// writeNew refuses to write over a file: it might be the only copy of a key.
func writeNew(path string, content []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode) // #nosec G304 -- named by the user
	if errors.Is(err, os.ErrExist) {
		return fairlead.Errorf(fairlead.CodeConflict, "%s is there already", path).Hintf("choose another name: a key that is lost signs nothing any more")
	}
	if err != nil {
		return fmt.Errorf("write a key: %w", err)
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}

func keysShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show FILE", Short: "Say which key a file holds", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := readKey(args[0])
			if err != nil {
				return err
			}
			half := "public"
			key, err := sign.ParsePublicKey(text, "")
			if private, wrong := sign.ParsePrivateKey(text, rand.Reader); wrong == nil {
				half, key, err = "private", private.Public(), nil
			}
			if err != nil {
				return named(args[0], err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s half of an %s key, %s\n", half, key.Algorithm(), key.ID())
			return nil
		},
	}
}

func readKey(file string) ([]byte, error) {
	text, err := os.ReadFile(file) // #nosec G304 -- named by the user
	if err != nil {
		return nil, fairlead.Invalid("the key %s cannot be read: %v", file, err)
	}
	return text, nil
}

// named puts what an error is about before its message.
func named(what string, err error) error {
	var e *fairlead.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("%s: %w", what, err)
	}
	out := *e
	out.Message = what + ": " + e.Message
	return &out
}
