package gateway

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"
)

// Why [Pages] stopped before the last page.
var (
	// ErrPageLimit says that there are more pages than the limit allows.
	ErrPageLimit = errors.New("gateway: more pages than the limit")
	// ErrPageCycle says that a page leads back to an earlier one.
	ErrPageCycle = errors.New("gateway: the pages go in a circle")
)

const defaultPageLimit = 1000

// Pages yields pages until there are no more: it calls call with first, and then
// with what next makes of the last request and response, until next reports
// false. call is the Call of an [Endpoint], or its CallResponse where next needs
// the header, for [Link].
//
// It makes at most limit calls, 1,000 if that is 0, and none before its page is
// asked for. An error is the last thing it yields: that of a call, or one that
// wraps [ErrPageLimit] or [ErrPageCycle].
func Pages[Req, Resp any](ctx context.Context, call func(context.Context, Req) (Resp, error), first Req,
	next func(Req, Resp) (Req, bool), limit int) iter.Seq2[Resp, error] {
	if limit <= 0 {
		limit = defaultPageLimit
	}
	return func(yield func(Resp, error) bool) {
		var seen []Req // requests, which are small
		for req, more := first, true; more; {
			var zero Resp
			for _, old := range seen {
				if reflect.DeepEqual(old, req) {
					yield(zero, fmt.Errorf("%w, back after %d calls", ErrPageCycle, len(seen)))
					return
				}
			}
			if len(seen) == limit {
				yield(zero, fmt.Errorf("%w of %d", ErrPageLimit, limit))
				return
			}
			seen = append(seen, req)
			page, err := call(ctx, req)
			if err != nil {
				yield(zero, err)
				return
			}
			if !yield(page, nil) {
				return
			}
			req, more = next(req, page)
		}
	}
}
