package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/client"
	"github.com/fairlead-ml/fairlead/ship/oci"
)

const registryHelp = `
Credentials are those of Docker (docker login, credential helpers included), or FAIRLEAD_REGISTRY_USERNAME and
FAIRLEAD_REGISTRY_PASSWORD. A registry on this machine is spoken to without TLS. A transfer that was cut goes on where it
stopped when the same command is given again.`

// publishCommand is not called push: push makes a version of files and puts it live on the server, publish copies a
// version that is there to a place where other servers and tools can get it.
func publishCommand() *cobra.Command {
	var t talk
	var o oci.Options
	cmd := t.command(&cobra.Command{
		Use:   "publish NAME[@VERSION] oci://HOST/REPOSITORY[:TAG]",
		Short: "Copy a version, and its signatures, to an OCI registry",
		Long: `Copy a version, and its signatures, to an OCI registry. Without a tag it is vN, N being the version's number.
The digest is the same there. A tag that is another version stays, unless --force moves it.
` + registryHelp,
		Example: "  fairlead publish flights@3 oci://registry.example.com/models/flights\n  fairlead publish flights:champion oci://localhost:5000/flights:champion --force",
		Args:    cobra.ExactArgs(2),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			ref, err := oci.ParseReference(args[1])
			if err != nil {
				return err
			}
			name, version := split(args[0])
			m, err := c.Model(cmd.Context(), name)
			if err != nil {
				return err
			}
			v, err := pick(m, version)
			if err != nil {
				return err
			}
			if ref.Tag() == "" {
				ref = ref.WithTag(fmt.Sprintf("v%d", v.Version))
			}
			r, err := publish(cmd, c, v, ref, o)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s@%d (%s) is %s\n  %s\n", v.Model, v.Version, fairlead.Digest(v.Digest).Short(), ref, moved(r, "sent"))
			return nil
		}),
	}, false)
	registryFlags(cmd, &o)
	cmd.Flags().BoolVar(&o.Force, "force", false, "move the tag if it is another version")
	return cmd
}

func registryFlags(cmd *cobra.Command, o *oci.Options) {
	cmd.Flags().BoolVar(&o.PlainHTTP, "plain-http", false, "speak to the registry without TLS")
}

// publish brings the version here, verified, and sends it on.
func publish(cmd *cobra.Command, c *client.Client, v api.ModelVersion, ref oci.Reference, o oci.Options) (r oci.Result, err error) {
	dir, err := os.MkdirTemp("", "fairlead-publish-")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	l, err := oci.OpenLayout(dir)
	if err != nil {
		return r, err
	}
	err = piped(cmd.Context(), func(ctx context.Context, w io.Writer) error {
		_, err := c.Export(ctx, v.Model, strconv.Itoa(v.Version), w)
		return err
	}, func(ctx context.Context, r io.Reader) error { return l.ReadTar(ctx, r) })
	if err != nil {
		return r, err
	}
	if o.State, err = cacheFolder("uploads"); err != nil {
		return r, err
	}
	o.Username, o.Password = os.Getenv("FAIRLEAD_REGISTRY_USERNAME"), os.Getenv("FAIRLEAD_REGISTRY_PASSWORD")
	var done func()
	o.Progress, done = transferBar(cmd.ErrOrStderr(), "publish")
	defer done()
	return oci.Push(cmd.Context(), l, ref, o)
}

func pullCommand() *cobra.Command {
	var t talk
	var o oci.Options
	var name, alias string
	cmd := t.command(&cobra.Command{
		Use:   "pull oci://HOST/REPOSITORY:TAG",
		Short: "Take a version, and its signatures, from an OCI registry into the server",
		Long: `Take a version, and its signatures, from an OCI registry into the server. Every blob is verified by its digest. The
version is stored, not deployed: start a rollout of it, or point an alias at it.
` + registryHelp,
		Example: "  fairlead pull oci://registry.example.com/models/flights:v3\n  fairlead pull oci://localhost:5000/flights@sha256:… --name flights --alias candidate",
		Args:    cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			ref, err := oci.ParseReference(args[0])
			if err != nil {
				return err
			}
			if name != "" {
				if _, err := fairlead.ParseName(name); err != nil {
					return err
				}
			}
			return pull(cmd, c, ref, o, name, alias)
		}),
	}, false)
	registryFlags(cmd, &o)
	cmd.Flags().StringVar(&name, "name", "", "name of the model (default: the one it was pushed under)")
	cmd.Flags().StringVar(&alias, "alias", "", "alias to point at the version, for example candidate")
	return cmd
}

// pull fetches into a folder that stays when the transfer is cut, and hands the whole to the server.
func pull(cmd *cobra.Command, c *client.Client, ref oci.Reference, o oci.Options, name, alias string) error {
	sum := sha256.Sum256([]byte(ref.String()))
	dir, err := cacheFolder("pulls", hex.EncodeToString(sum[:8]))
	if err != nil {
		return err
	}
	l, err := oci.OpenLayout(dir)
	if err != nil {
		return err
	}
	o.Username, o.Password = os.Getenv("FAIRLEAD_REGISTRY_USERNAME"), os.Getenv("FAIRLEAD_REGISTRY_PASSWORD")
	var done func()
	o.Progress, done = transferBar(cmd.ErrOrStderr(), "pull")
	r, err := oci.Pull(cmd.Context(), ref, l, o)
	done()
	if err != nil {
		return err
	}
	var loaded []api.Loaded
	err = piped(cmd.Context(), l.WriteTar, func(ctx context.Context, r io.Reader) (err error) {
		loaded, err = c.Load(ctx, name, r)
		return err
	})
	if err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	for _, v := range loaded {
		verb := "is here"
		if v.Existing {
			verb = "was here already"
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s@%d (%s) %s\n  %s\n", v.Model, v.Version, fairlead.Digest(v.Digest).Short(), verb, moved(r, "fetched"))
		for _, n := range r.Notes {
			fmt.Fprintf(cmd.OutOrStdout(), "  note: %s\n", n)
		}
		if alias == "" {
			continue
		}
		move, err := c.SetAlias(cmd.Context(), v.Model, alias, api.AliasRequest{Version: strconv.Itoa(v.Version), By: whoami()}, nil)
		if err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "  %s\n", told(v.Model, move))
	}
	return nil
}

// moved says what a transfer did.
func moved(r oci.Result, verb string) string {
	s := fmt.Sprintf("%d blobs of %d bytes, %d of them %s", r.Blobs, r.Bytes, r.Sent, verb)
	switch r.Attached {
	case 0:
		return s + ", no signature"
	case 1:
		return s + ", one attachment"
	}
	return s + fmt.Sprintf(", %d attachments", r.Attached)
}

// piped lets one side write what the other reads. The error is that of the side which failed first.
func piped(ctx context.Context, write func(context.Context, io.Writer) error, read func(context.Context, io.Reader) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, w := io.Pipe()
	wrote := make(chan error, 1)
	go func() {
		err := write(ctx, w)
		wrote <- errors.Join(err, w.CloseWithError(err))
	}()
	err := read(ctx, struct{ io.Reader }{r}) // who reads must not close it: an HTTP client would, before the end was seen
	if err != nil {
		_ = r.CloseWithError(err) // the writer fails with it
		cancel()
		if other := <-wrote; other != nil && !errors.Is(other, err) && !errors.Is(other, context.Canceled) {
			return other
		}
		return err
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		return errors.Join(err, <-wrote)
	}
	return <-wrote
}

// cacheFolder is a folder of the user's where unfinished transfers wait.
func cacheFolder(names ...string) (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache folder: %w", err)
	}
	dir := filepath.Join(append([]string{base, "fairlead"}, names...)...)
	return dir, os.MkdirAll(dir, 0o700)
}

// transferBar draws a bar where a person looks; done ends its line.
func transferBar(w io.Writer, verb string) (tell func(oci.Progress), done func()) {
	f, ok := w.(*os.File)
	if !ok {
		return nil, func() {}
	}
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return nil, func() {}
	}
	bar := progressbar.NewOptions64(-1, progressbar.OptionSetWriter(f), progressbar.OptionSetDescription(verb), progressbar.OptionShowBytes(true),
		progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(true), progressbar.OptionThrottle(100_000_000), progressbar.OptionClearOnFinish())
	return func(p oci.Progress) {
		bar.ChangeMax64(max(p.Total, 1))
		bar.Describe(verb + " " + strings.TrimSpace(p.Name))
		_ = bar.Set64(p.Done) // a bar that cannot be drawn stops nothing
	}, func() { _ = bar.Finish() }
}
