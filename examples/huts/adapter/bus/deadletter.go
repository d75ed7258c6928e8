// Dead letters: messages that cannot be handled wait for a person instead of blocking
// those behind them. Not worth it if nobody looks; then let the consumer stop.

package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// A Letter is a message that a consumer could not handle.
type Letter struct {
	Number   uint64 `json:"-"` // for [Bus.Replay]
	ID       string // of the message
	Consumer string
	Why      string
	Data     []byte
}

func (b *Bus) bury(ctx context.Context, consumer string, msg jetstream.Msg, why error) error {
	l := Letter{ID: msg.Headers().Get(jetstream.MsgIDHeader), Consumer: consumer, Why: why.Error(), Data: msg.Data()}
	data, err := json.Marshal(l)
	if err != nil {
		return err
	}
	// A crash between this and the acknowledgement brings the message again: the
	// same letter is stored once.
	_, err = b.stream.Publish(ctx, deadSubject, data, jetstream.WithMsgID(consumer+" "+l.ID))
	return err
}

// Letters returns all dead letters, oldest first.
func (b *Bus) Letters(ctx context.Context) ([]Letter, error) {
	s, err := b.stream.Stream(ctx, dead)
	if err != nil {
		return nil, fmt.Errorf("bus: %w", err)
	}
	info, err := s.Info(ctx)
	if err != nil {
		return nil, fmt.Errorf("bus: %w", err)
	}
	var letters []Letter
	for n := max(info.State.FirstSeq, 1); n <= info.State.LastSeq; n++ {
		msg, err := s.GetMsg(ctx, n)
		if errors.Is(err, jetstream.ErrMsgNotFound) { // it was replayed
			continue
		}
		var l Letter
		if err == nil {
			err = json.Unmarshal(msg.Data, &l)
		}
		if err != nil {
			return letters, fmt.Errorf("bus: letter %d: %w", n, err)
		}
		l.Number = n
		letters = append(letters, l)
	}
	return letters, nil
}

// Replay sends the message of a dead letter again, to all consumers: those that have
// handled it before know it by its ID.
func (b *Bus) Replay(ctx context.Context, l Letter) error {
	again := fmt.Sprintf("%s again %d", l.ID, l.Number) // for the broker it is a new one
	if _, err := b.stream.Publish(ctx, subject, l.Data, jetstream.WithMsgID(again)); err != nil {
		return fmt.Errorf("bus: replay: %w", err)
	}
	s, err := b.stream.Stream(ctx, dead)
	if err == nil {
		err = s.DeleteMsg(ctx, l.Number)
	}
	if err != nil {
		return fmt.Errorf("bus: replay: %w", err)
	}
	return nil
}
