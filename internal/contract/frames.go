package contract

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
)

// Just enough of HTTP/2 (RFC 9113) to answer requests in ways in which
// net/http's server never does. Headers are not decoded; the only ones that
// are written are those of an empty 200.

const (
	frameData     = 0x0
	frameHeaders  = 0x1
	frameReset    = 0x3
	frameSettings = 0x4
	framePing     = 0x6
	frameGoAway   = 0x7

	flagAck        = 0x1 // of SETTINGS and PING
	flagEndStream  = 0x1 // of DATA and HEADERS
	flagEndHeaders = 0x4

	codeNone          = 0x0
	codeInternal      = 0x2
	codeRefusedStream = 0x7

	clientPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
)

// status200 is the header block ":status: 200", entry 8 of HPACK's static
// table.
var status200 = []byte{0x80 | 8}

// frameConn is the server's side of a connection.
type frameConn struct {
	w io.Writer
	r *bufio.Reader
}

func (f *frameConn) write(kind, flags byte, stream uint32, payload []byte) error {
	n := len(payload)
	frame := append([]byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags}, be32(stream)...)
	_, err := f.w.Write(append(frame, payload...))
	return err
}

func (f *frameConn) read() (kind, flags byte, stream uint32, payload []byte, err error) {
	var head [9]byte
	if _, err = io.ReadFull(f.r, head[:]); err != nil {
		return
	}
	payload = make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
	_, err = io.ReadFull(f.r, payload)
	return head[3], head[4], binary.BigEndian.Uint32(head[5:]) & (1<<31 - 1), payload, err
}

func be32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

// respond answers a request with 200 and a body.
func (f *frameConn) respond(stream uint32, body []byte) {
	f.write(frameHeaders, flagEndHeaders, stream, status200)
	f.write(frameData, flagEndStream, stream, body)
}

// reset ends a stream with an error.
func (f *frameConn) reset(stream, code uint32) { f.write(frameReset, 0, stream, be32(code)) }

// goAway says that no stream after last was looked at, nor will be.
func (f *frameConn) goAway(last, code uint32) {
	f.write(frameGoAway, 0, 0, append(be32(last), be32(code)...))
}

// serveFrames calls answer for each request that has arrived whole.
func serveFrames(conn net.Conn, answer func(f *frameConn, stream uint32, body []byte)) error {
	f := &frameConn{w: conn, r: bufio.NewReader(conn)}
	preface := make([]byte, len(clientPreface))
	if _, err := io.ReadFull(f.r, preface); err != nil {
		return err
	}
	if string(preface) != clientPreface {
		return errors.New("this is not HTTP/2")
	}
	f.write(frameSettings, 0, 0, nil)
	bodies := make(map[uint32][]byte)
	for {
		kind, flags, stream, payload, err := f.read()
		if err != nil {
			return err
		}
		switch kind {
		case frameSettings:
			if flags&flagAck == 0 {
				f.write(frameSettings, flagAck, 0, nil)
			}
		case framePing:
			if flags&flagAck == 0 {
				f.write(framePing, flagAck, 0, payload)
			}
		case frameData:
			bodies[stream] = append(bodies[stream], payload...)
		}
		if (kind == frameData || kind == frameHeaders) && flags&flagEndStream != 0 {
			answer(f, stream, bodies[stream])
		}
	}
}
