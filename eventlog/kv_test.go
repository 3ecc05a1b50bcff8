package eventlog

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/fairlead-ml/fairlead"
)

func bucket(t *testing.T, l *Log) *KV {
	t.Helper()
	kv, err := l.KV(t.Context(), "models")
	if err != nil {
		t.Fatal(err)
	}
	return kv
}

func TestCompareAndSet(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	kv, ctx := bucket(t, l), t.Context()
	if v, rev, err := kv.Get(ctx, "flights"); v != nil || rev != 0 || err != nil {
		t.Errorf("absent: %q %d %v", v, rev, err)
	}
	if keys, err := kv.Keys(ctx); len(keys) != 0 || err != nil {
		t.Errorf("empty bucket: %v %v", keys, err)
	}
	rev1, err := kv.Put(ctx, "flights", []byte("1"), 0)
	if err != nil {
		t.Fatal(err)
	}
	conflict := func(what string, err error) {
		t.Helper()
		if fairlead.CodeOf(err) != fairlead.CodeConflict {
			t.Errorf("%s: %v, want a conflict", what, err)
		}
	}
	_, err = kv.Put(ctx, "flights", []byte("x"), 0)
	conflict("create what exists", err)
	rev2, err := kv.Put(ctx, "flights", []byte("2"), rev1)
	if err != nil || rev2 <= rev1 {
		t.Fatalf("update: %d after %d, %v", rev2, rev1, err)
	}
	_, err = kv.Put(ctx, "flights", []byte("x"), rev1)
	conflict("update of an old revision", err)
	conflict("delete of an old revision", kv.Delete(ctx, "flights", rev1))
	if _, err := kv.Put(ctx, "a b", nil, 0); fairlead.CodeOf(err) != fairlead.CodeInvalid {
		t.Errorf("bad key: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	kv = bucket(t, open(t, dir))
	if v, rev, err := kv.Get(ctx, "flights"); string(v) != "2" || rev != rev2 || err != nil {
		t.Errorf("after a restart: %q %d %v", v, rev, err)
	}
	if err := kv.Delete(ctx, "flights", rev2); err != nil {
		t.Fatal(err)
	}
	if err := kv.Delete(ctx, "flights", 0); err != nil {
		t.Errorf("delete of an absent key: %v", err)
	}
	if v, rev, err := kv.Get(ctx, "flights"); v != nil || rev != 0 || err != nil {
		t.Errorf("deleted: %q %d %v", v, rev, err)
	}
	if _, err := kv.Put(ctx, "flights", []byte("3"), 0); err != nil {
		t.Errorf("create after delete: %v", err)
	}
	if keys, err := kv.Keys(ctx); !slices.Equal(keys, []string{"flights"}) || err != nil {
		t.Errorf("keys %v %v", keys, err)
	}
}

func TestOnlyOneOfManyWritersWins(t *testing.T) {
	kv := bucket(t, open(t, t.TempDir()))
	var wg sync.WaitGroup
	var mu sync.Mutex
	added := 0
	for range 8 {
		wg.Go(func() {
			for range 5 {
				v, rev, err := kv.Get(t.Context(), "n")
				if err != nil {
					t.Error(err)
					return
				}
				_, err = kv.Put(t.Context(), "n", append(v, '.'), rev)
				switch fairlead.CodeOf(err) {
				case "":
					mu.Lock()
					added++
					mu.Unlock()
				case fairlead.CodeConflict:
				default:
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	v, _, err := kv.Get(t.Context(), "n")
	if err != nil || len(v) != added || added == 0 {
		t.Errorf("%d writes won, the value has %d (%v)", added, len(v), err)
	}
}

func TestWatchGivesPresentThenChanges(t *testing.T) {
	l := open(t, t.TempDir())
	kv := bucket(t, l)
	put := func(key, value string, rev uint64) uint64 {
		rev, err := kv.Put(t.Context(), key, []byte(value), rev)
		if err != nil {
			t.Error(err)
		}
		return rev
	}
	rev := put("a", "1", 0)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got []string
	err := kv.Watch(ctx, func(key string, value []byte) {
		got = append(got, key+"="+string(value))
		switch len(got) {
		case 1:
			put("b", "", 0)
		case 2:
			if value == nil {
				t.Error("an empty value looks deleted")
			}
			if err := kv.Delete(t.Context(), "a", rev); err != nil {
				t.Error(err)
			}
		case 3:
			if value != nil {
				t.Error("a deleted key has a value")
			}
			cancel()
		}
	})
	if err != nil || !slices.Equal(got, []string{"a=1", "b=", "a="}) {
		t.Errorf("%v %v", got, err)
	}
	ended := make(chan error)
	go func() { ended <- kv.Watch(context.Background(), func(string, []byte) {}) }()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; fairlead.CodeOf(err) != fairlead.CodeUnavailable {
		t.Errorf("watch of a closed log ended with %v", err)
	}
}
