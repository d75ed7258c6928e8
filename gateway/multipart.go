package gateway

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Multipart is a body of the type multipart/form-data. Its parts are streamed in
// their order. If all contents can be read at any offset, as files and strings.Readers
// can, the length is known and the request can be repeated.
type Multipart []Part

// A Part is one field of a [Multipart].
type Part struct {
	Name        string    // of the field
	FileName    string    // "": the field is no file
	ContentType string    // "": application/octet-stream for a file, none for a field
	Content     io.Reader // nil: nothing
}

func (m Multipart) body() (body, error) {
	boundary := rand.Text()
	var parts []body
	length, repeatable, foreign := int64(0), true, false
	var problem error
	for i, p := range m {
		head, err := p.head(boundary, i)
		if err != nil {
			problem = err // after the loop, so that all contents are closed
		}
		content := bytesBody(nil, "")
		if p.Content != nil {
			content = readerBody(p.Content, "")
		}
		for _, b := range []body{bytesBody(head, ""), content} {
			parts = append(parts, b)
			repeatable = repeatable && b.again != nil
			foreign = foreign || b.foreign
			length += b.length
		}
	}
	end := "\r\n--" + boundary + "--\r\n"
	if len(m) == 0 {
		end = end[2:]
	}
	parts = append(parts, bytesBody([]byte(end), ""))
	length += int64(len(end))

	whole := body{reader: concat(parts), length: -1, contentType: "multipart/form-data; boundary=" + boundary, foreign: foreign}
	if problem != nil {
		whole.reader.Close()
		return body{}, problem
	}
	if repeatable {
		whole.length = length
		whole.again = func() (io.ReadCloser, error) {
			fresh := make([]body, len(parts))
			for i, p := range parts {
				fresh[i].reader, _ = p.again() // never an error
			}
			return concat(fresh), nil
		}
	}
	return whole, nil
}

var errBadPart = errors.New("has a part whose name or content type is not valid")

// head returns the boundary and the header of part number i.
func (p *Part) head(boundary string, i int) ([]byte, error) {
	if p.Name == "" || !validValue(p.ContentType) || strings.ContainsAny(p.Name+p.FileName, "\x00") {
		return nil, errBadPart
	}
	var b bytes.Buffer
	if i > 0 {
		b.WriteString("\r\n")
	}
	fmt.Fprintf(&b, "--%s\r\nContent-Disposition: form-data; name=\"%s\"", boundary, quoteField(p.Name))
	contentType := p.ContentType
	if p.FileName != "" {
		fmt.Fprintf(&b, "; filename=\"%s\"", quoteField(p.FileName))
		if contentType == "" {
			contentType = bytesType
		}
	}
	if contentType != "" {
		fmt.Fprintf(&b, "\r\nContent-Type: %s", contentType)
	}
	b.WriteString("\r\n\r\n")
	return b.Bytes(), nil
}

// quoteField escapes a name as browsers do (HTML, multipart/form-data encoding algorithm).
var quoteField = strings.NewReplacer("\r", "%0D", "\n", "%0A", `"`, "%22").Replace

// concat returns a reader of bodies, one after the other.
func concat(parts []body) io.ReadCloser {
	c := &concatenation{parts: parts}
	readers := make([]io.Reader, len(parts))
	for i, p := range parts {
		readers[i] = p.reader
	}
	c.Reader = io.MultiReader(readers...)
	return c
}

type concatenation struct {
	io.Reader
	parts []body
}

// Close closes all parts.
func (c *concatenation) Close() error {
	var errs []error
	for _, p := range c.parts {
		errs = append(errs, p.reader.Close())
	}
	return errors.Join(errs...)
}
