package ratelimit

import (
	"testing"

	"github.com/belay-go/belay/internal/archtest"
)

func TestDefaults(t *testing.T) {
	archtest.Defaults(t, Config{}.withDefaults(), BulkheadConfig{}.withDefaults(), KeyedConfig[string]{}.withDefaults(), SharedConfig{}.withDefaults())
}
