package grpcbelay

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/belay-go/belay/loadbalance"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/status"
)

// A picker picks for one state of the endpoints.
type picker struct {
	balancer *loadbalance.Balancer[*place]
	exclude  []string // that are not connected
}

// Pick implements balancer.Picker.
func (p *picker) Pick(info balancer.PickInfo) (balancer.PickResult, error) {
	c := &picked{ctx: info.Ctx, balancer: p.balancer}
	var err error
	c.pick, err = p.balancer.PickWith(info.Ctx, loadbalance.Hint{Exclude: p.exclude})
	switch {
	case err == nil:
	case info.Ctx.Err() != nil:
		return balancer.PickResult{}, status.FromContextError(info.Ctx.Err()).Err()
	case errors.Is(err, loadbalance.ErrOverloaded):
		return balancer.PickResult{}, refuse(err)
	default: // none is connected any more, and there will be another picker
		return balancer.PickResult{}, balancer.ErrNoSubConnAvailable
	}
	c.place = c.pick.Value()
	result, err := (*c.place.picker.Load()).Pick(info)
	if err != nil {
		c.pick.Done(loadbalance.Result{Outcome: loadbalance.Ignored})
		return balancer.PickResult{}, balancer.ErrNoSubConnAvailable
	}
	c.done = result.Done
	if streams(info.FullMethodName) {
		// How long a stream takes says nothing. It is as fast as other calls.
		c.stream = true
		c.pick.Answered(loadbalance.Result{Outcome: loadbalance.Ignored, Latency: max(time.Duration(c.place.usual.Load()), time.Millisecond)})
	} else {
		c.start = time.Now()
	}
	result.Done = c.end
	return result, nil
}

// picked is a call to an endpoint.
type picked struct {
	ctx      context.Context
	balancer *loadbalance.Balancer[*place]
	place    *place
	pick     loadbalance.Pick[*place]
	start    time.Time
	stream   bool
	done     func(balancer.DoneInfo)
}

func (c *picked) end(info balancer.DoneInfo) {
	if c.done != nil {
		defer c.done(info)
	}
	r := loadbalance.Result{Err: info.Err, Outcome: loadbalance.Failure} // if Classify panics
	defer func() { c.pick.Done(r) }()
	if !info.BytesSent || info.Err != nil && nobodys(c.ctx, info.Err) {
		r.Outcome = loadbalance.Ignored // the connection was not ready, or the caller has left
		return
	}
	r.Outcome = c.balancer.Outcome(c.ctx, info.Err)
	push, _, _ := pushed(info.Trailer)
	r.RetryAfter = max(push, RetryAfter(info.Err))
	if !c.stream {
		if r.Latency = time.Since(c.start); r.Outcome == loadbalance.Success {
			c.place.usual.Store(int64(r.Latency))
		}
	}
}

// kinds has the methods that are known: whether they are streams.
var kinds sync.Map

// streams reports whether a method is a stream, as far as that is known.
func streams(method string) bool {
	if kind, ok := kinds.Load(method); ok {
		return kind.(bool)
	}
	d := descriptor(method)
	if d == nil {
		return false
	}
	kind := d.IsStreamingClient() || d.IsStreamingServer()
	kinds.Store(method, kind)
	return kind
}
