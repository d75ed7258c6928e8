// Message broker: services that need not be up at the same time. Not worth it where the
// caller waits for the answer: call.

// Package bus carries changes between services over NATS JetStream: at least once, and
// to each consumer in turn. What a consumer cannot handle goes to the dead letters.
package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/belay-go/belay/examples/huts/app"
	"github.com/belay-go/belay/examples/huts/platform"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	changes     = "CHANGES" // the stream, and the subjects in it
	subject     = "huts.changes"
	dead        = "DEAD"
	deadSubject = "huts.dead"
	traceHeader = "traceparent"
)

// A Bus is a connection to a broker. Close it in the end.
type Bus struct {
	conn   *nats.Conn
	stream jetstream.JetStream
	broker *server.Server // in this process, or nil
}

// Embed starts a broker in this process, with its files in dir, and connects to it. It
// listens nowhere.
func Embed(ctx context.Context, dir string) (*Bus, error) {
	broker, err := server.NewServer(&server.Options{ServerName: "huts", DontListen: true, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true})
	if err != nil {
		return nil, fmt.Errorf("bus: %w", err)
	}
	broker.Start()
	if !broker.ReadyForConnections(10 * time.Second) {
		broker.Shutdown()
		return nil, errors.New("bus: the broker does not start")
	}
	b, err := connect(ctx, "", nats.InProcessServer(broker))
	if err != nil {
		broker.Shutdown()
		return nil, err
	}
	b.broker = broker
	return b, nil
}

// Connect connects to the broker at url, now or as soon as it is there.
func Connect(ctx context.Context, url string) (*Bus, error) {
	return connect(ctx, url)
}

func connect(ctx context.Context, url string, options ...nats.Option) (*Bus, error) {
	conn, err := nats.Connect(url, append(options, nats.Name("huts"), nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond))...)
	if err != nil {
		return nil, fmt.Errorf("bus: %s: %w", url, err)
	}
	b := &Bus{conn: conn}
	if b.stream, err = jetstream.New(conn); err == nil {
		_, err = b.stream.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
			Name: changes, Subjects: []string{subject}, MaxAge: 30 * 24 * time.Hour,
			Duplicates: time.Hour, // what is published again within it is stored once
		})
	}
	if err == nil {
		_, err = b.stream.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: dead, Subjects: []string{deadSubject}})
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("bus: %w", err)
	}
	return b, nil
}

// Close closes the connection, and stops the broker if it is in this process.
func (b *Bus) Close() {
	b.conn.Close()
	if b.broker != nil {
		b.broker.Shutdown()
		b.broker.WaitForShutdown()
	}
}

// Ping returns nil if the broker is connected.
func (b *Bus) Ping(context.Context) error {
	if s := b.conn.Status(); s != nats.CONNECTED {
		return fmt.Errorf("bus: the broker is %s", s)
	}
	return nil
}

// Publish sends a change, with the trace that it belongs to. When it returns nil, the broker has stored it.
func (b *Bus) Publish(ctx context.Context, c app.Change) error {
	data, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("bus: %w", err)
	}
	msg := &nats.Msg{Subject: subject, Data: data, Header: nats.Header{}}
	if name := platform.TraceOf(ctx); name != "" {
		msg.Header.Set(traceHeader, name)
	}
	if _, err := b.stream.PublishMsg(ctx, msg, jetstream.WithMsgID(c.ID)); err != nil {
		return fmt.Errorf("bus: publish: %w", err)
	}
	return nil
}
