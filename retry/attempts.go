package retry

import (
	"context"
	"iter"
)

// Attempts returns the attempts of a call as a loop, for code that does not fit
// into a function:
//
//	var err error
//	for ctx := range retry.Attempts(ctx, policy, &err) {
//		err = send(ctx)
//	}
//	return err
//
// err is nil when an iteration begins, and what the loop's body leaves in it is
// the attempt's outcome. The loop ends with a success or when no further
// attempt is allowed; err is then what [Do] would have returned. A break ends it
// as well, and leaves err alone. If ctx has ended already there is no iteration.
//
// With an AttemptTimeout the context of an attempt ends with its iteration.
func Attempts(ctx context.Context, p *Policy, err *error) iter.Seq[context.Context] {
	return func(yield func(context.Context) bool) {
		if ctx.Err() != nil {
			*err = context.Cause(ctx)
			return
		}
		var l loop
		l.begin(ctx, p)
		defer l.end()
		for {
			*err = nil
			more := yieldOnce(&l, yield)
			if *err == nil {
				l.succeed()
				return
			}
			if !more {
				return
			}
			if !l.next(*err) {
				*err = l.fail()
				return
			}
		}
	}
}

func yieldOnce(l *loop, yield func(context.Context) bool) bool {
	ctx, cancel := l.bound()
	defer cancel()
	return yield(ctx)
}
