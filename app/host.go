package app

import (
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/cpu"

	"github.com/fairlead-ml/fairlead/ship/bundle"
)

// thisHost is what variants are chosen for. version is ONNX Runtime's.
func thisHost(version string) bundle.Host {
	return bundle.Host{OS: runtime.GOOS, Arch: runtime.GOARCH, ISA: instructions(), Memory: memoryOf(os.ReadFile), Runtime: version}
}

// instructions are the instruction sets that decide how fast, and how, small numbers are computed.
func instructions() []string {
	x, arm := &cpu.X86, &cpu.ARM64
	sets := []struct {
		name string
		has  bool
	}{
		{"avx", x.HasAVX}, {"avx2", x.HasAVX2}, {"fma", x.HasFMA}, {"avx512f", x.HasAVX512F}, {"avx512_vnni", x.HasAVX512VNNI},
		{"avx512_bf16", x.HasAVX512BF16}, {"avx_vnni", x.HasAVXVNNI}, {"amx_int8", x.HasAMXInt8}, {"amx_bf16", x.HasAMXBF16},
		{"neon", arm.HasASIMD}, {"neon_dotprod", arm.HasASIMDDP}, {"sve", arm.HasSVE}, {"sve2", arm.HasSVE2},
	}
	var names []string
	for _, s := range sets {
		if s.has {
			names = append(names, s.name)
		}
	}
	slices.Sort(names)
	return names
}

// memoryOf is the machine's memory in bytes, 0 where /proc/meminfo does not tell.
func memoryOf(read func(string) ([]byte, error)) int64 {
	text, err := read("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err == nil {
				return kib << 10
			}
		}
	}
	return 0
}
