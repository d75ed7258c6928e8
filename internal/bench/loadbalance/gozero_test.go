//go:build gozero

package loadbalance_test

import (
	"github.com/zeromicro/go-zero/core/logx"
	"github.com/zeromicro/go-zero/core/stat"
	_ "github.com/zeromicro/go-zero/zrpc" // registers its balancer
)

func init() {
	// go-zero reports on standard output, amid the results.
	logx.Disable()
	stat.SetReporter(nil)
}
