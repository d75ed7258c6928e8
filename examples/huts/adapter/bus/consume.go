// Consumer: handles a message as often as it comes, later again if that failed, and
// never for ever. Not worth it for messages whose order matters more than their
// progress: one that fails lets others pass.

package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/belay-go/belay/examples/huts/app"
	"github.com/belay-go/belay/examples/huts/platform"
	"github.com/belay-go/belay/ratelimit"
	"github.com/nats-io/nats.go/jetstream"
)

// A Consumer receives changes.
type Consumer struct {
	// Name is what the broker remembers its position by. Processes that consume under
	// one name share the messages.
	Name string
	// Handle is called for each change, possibly more than once. Its error brings the
	// message again later, and after a number of tries, or at once if it is
	// [app.ErrNever], to the dead letters. A panic counts as a permanent error.
	Handle func(context.Context, app.Change) error
	// Tries is that number. 0: 8.
	Tries int
	// Wait is the time before the second try. It doubles with each, up to a minute.
	// 0: 100 ms.
	Wait time.Duration
	// AtOnce bounds the changes that are handled at the same time. 0: 4.
	AtOnce int
}

// Consume handles messages until ctx ends, and returns when those under way are done.
func (b *Bus) Consume(ctx context.Context, c Consumer) error {
	for _, n := range []*int{&c.Tries, &c.AtOnce} {
		if *n < 0 {
			return fmt.Errorf("bus: consumer %s: Tries and AtOnce must not be negative", c.Name)
		}
	}
	if c.Tries == 0 {
		c.Tries = 8
	}
	if c.Wait == 0 {
		c.Wait = 100 * time.Millisecond
	}
	if c.AtOnce == 0 {
		c.AtOnce = 4
	}
	consumer, err := b.stream.CreateOrUpdateConsumer(ctx, changes, jetstream.ConsumerConfig{
		Durable: c.Name, AckPolicy: jetstream.AckExplicitPolicy, AckWait: 30 * time.Second,
		MaxAckPending: 10_000, // those that wait for another try count: they must not keep others out
	})
	if err != nil {
		return fmt.Errorf("bus: consumer %s: %w", c.Name, err)
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(c.AtOnce))
	if err != nil {
		return fmt.Errorf("bus: consumer %s: %w", c.Name, err)
	}
	defer context.AfterFunc(ctx, messages.Stop)()
	places := ratelimit.NewBulkhead(ratelimit.BulkheadConfig{Limit: c.AtOnce})
	var under sync.WaitGroup
	defer under.Wait()
	for {
		msg, err := messages.Next()
		if errors.Is(err, jetstream.ErrMsgIteratorClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("bus: consumer %s: %w", c.Name, err)
		}
		place, err := places.Acquire(ctx)
		if err != nil {
			return errors.Join(msg.Nak(), notCancelled(ctx, err))
		}
		under.Go(func() {
			defer place.Done()
			b.handle(context.WithoutCancel(ctx), c, msg)
		})
	}
}

// notCancelled returns err, unless it is the end of ctx.
func notCancelled(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (b *Bus) handle(ctx context.Context, c Consumer, msg jetstream.Msg) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second) // less than AckWait
	defer cancel()
	ctx = platform.WithTrace(ctx, msg.Headers().Get(traceHeader))
	var tries int
	if meta, err := msg.Metadata(); err == nil {
		tries = int(meta.NumDelivered)
	}
	err := c.receive(ctx, msg)
	switch {
	case err == nil:
		err = msg.Ack()
	case !errors.Is(err, app.ErrNever) && tries < c.Tries:
		err = msg.NakWithDelay(min(c.Wait<<min(tries-1, 20), time.Minute))
	default:
		if err = b.bury(ctx, c.Name, msg, err); err == nil {
			err = msg.Ack()
		}
	}
	if err != nil { // it comes again after AckWait
		slog.WarnContext(ctx, "bus: a message was not acknowledged", "consumer", c.Name, "err", err)
	}
}

func (c Consumer) receive(ctx context.Context, msg jetstream.Msg) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: panic: %v", app.ErrNever, p)
		}
	}()
	var change app.Change
	if err := json.Unmarshal(msg.Data(), &change); err != nil {
		return fmt.Errorf("%w: %w", app.ErrNever, err)
	}
	return c.Handle(ctx, change)
}
