package main

import (
	"crypto/rand"
	"fmt"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/client"
	"github.com/fairlead-ml/fairlead/ship/sign"
)

func signCommand() *cobra.Command {
	var t talk
	var keys []string
	var check bool
	cmd := t.command(&cobra.Command{
		Use:   "sign NAME[@VERSION] --key FILE",
		Short: "Sign a version, or check who signed it",
		Long: `Sign a version: the list of its files and their digests, and the version's own digest. The private key stays here; the
signature is attached to the version and goes where it goes. With --check nothing is signed: the version's signatures are
verified, here, with the public keys given; without a key the server says which count for it.`,
		Example: "  fairlead keys new release.key\n  fairlead sign flights@3 --key release.key\n  fairlead sign flights@3 --check --key release.pub",
		Args:    cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			name, version := split(args[0])
			if version == "" {
				m, err := c.Model(cmd.Context(), name)
				if err != nil {
					return err
				}
				v, err := pick(m, version)
				if err != nil {
					return err
				}
				version = strconv.Itoa(v.Version)
			}
			have, err := c.Signatures(cmd.Context(), name, version)
			if err != nil {
				return err
			}
			content, err := contents(have)
			if err != nil {
				return err
			}
			if check {
				return t.checkSignatures(cmd, have, content, keys)
			}
			return addSignature(cmd, c, have, content, keys)
		}),
	}, true)
	cmd.Flags().StringSliceVar(&keys, "key", nil, "file of the private key; with --check of the public ones")
	cmd.Flags().BoolVar(&check, "check", false, "verify instead of signing")
	return cmd
}

// contents is what the version consists of, held against the digest that the server says it has.
func contents(s api.Signatures) (sign.Content, error) {
	manifests := map[fairlead.Digest][]byte{}
	for d, raw := range s.Manifests {
		manifests[fairlead.Digest(d)] = []byte(raw)
	}
	c, err := sign.Contents(fairlead.Name(s.Model), []byte(s.Index), manifests)
	if err == nil && string(c.Digest) != s.Digest {
		return c, fairlead.Errorf(fairlead.CodeInternal, "the server says that %s@%d has the digest %s, its index has %s", s.Model, s.Version, s.Digest, c.Digest)
	}
	return c, err
}

func addSignature(cmd *cobra.Command, c *client.Client, have api.Signatures, content sign.Content, keys []string) error {
	if len(keys) != 1 {
		return fairlead.Invalid("signing takes one private key, not %d", len(keys)).Hintf("fairlead sign %s@%d --key FILE; `fairlead keys new FILE` makes one", have.Model, have.Version)
	}
	text, err := readKey(keys[0])
	if err != nil {
		return err
	}
	key, err := sign.ParsePrivateKey(text, rand.Reader)
	if err != nil {
		return named(keys[0], err)
	}
	signature, err := sign.Sign(content, key)
	if err != nil {
		return err
	}
	// By number: an alias may have moved since the files were listed.
	now, err := c.AddSignature(cmd.Context(), have.Model, strconv.Itoa(have.Version), signature)
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s@%d (%s) is signed: %d files, key %.12s\n", now.Model, now.Version, fairlead.Digest(now.Digest).Short(), len(content.Files), key.Public().ID())
	for _, s := range now.Signatures {
		if s.Bundle == string(signature) && s.Refused != "" {
			fmt.Fprintf(cmd.OutOrStdout(), "  note: it does not count for this server: %s\n", s.Refused)
		}
	}
	return nil
}

// checkSignatures verifies here, with the user's own keys, or says what the server makes of them.
func (t *talk) checkSignatures(cmd *cobra.Command, have api.Signatures, content sign.Content, keys []string) error {
	if len(keys) == 0 {
		return t.out.print(cmd.OutOrStdout(), have, "SIGNATURE|KEY|COUNTS HERE", func(add func(...any)) {
			for i, s := range have.Signatures {
				counts := "yes"
				if s.Refused != "" {
					counts = "no: " + s.Refused
				} else if s.Key == "" {
					counts = "no keys are configured"
				}
				add(i+1, s.Key, counts)
			}
		})
	}
	var trust sign.Trust
	for _, file := range keys {
		text, err := readKey(file)
		if err != nil {
			return err
		}
		key, err := sign.ParsePublicKey(text, filepath.Base(file))
		if err != nil {
			return named(file, err)
		}
		trust.Keys = append(trust.Keys, key)
	}
	var all [][]byte
	for _, s := range have.Signatures {
		all = append(all, []byte(s.Bundle))
	}
	who, err := trust.Check(content, all)
	if err != nil {
		return named(fmt.Sprintf("%s@%d", have.Model, have.Version), err)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s@%d (%s) is signed with %s: %d files as they were\n", have.Model, have.Version, content.Digest.Short(), who.Name(), len(content.Files))
	return nil
}
