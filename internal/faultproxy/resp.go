package faultproxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// maxBlob is the largest string Redis accepts by default.
const maxBlob = 512 << 20

var errProtocol = errors.New("faultproxy: not RESP")

// frame is one request, one reply or one push, as it stood on the wire.
type frame struct {
	raw   []byte
	kind  byte     // first byte of the value; of the value after an attribute
	words []string // the scalars in order, nested ones too; a null is ""
	at    time.Time

	end  bool     // the stream ended; raw is empty
	push bool     // out of band: answers no request
	req  *request // what a reply answers; nil if nothing asked for it
}

// readReply reads one value of any RESP2 or RESP3 type.
func readReply(r *bufio.Reader) (frame, error) {
	d := decoder{r: r}
	err := d.value(&d.f.kind)
	return d.f, err
}

// readRequest reads one command: an array of strings, or an inline line.
func readRequest(r *bufio.Reader) (frame, error) {
	first, err := r.Peek(1)
	if err != nil {
		return frame{}, err
	}
	if first[0] == '*' {
		return readReply(r)
	}
	line, err := r.ReadString('\n')
	return frame{raw: []byte(line), words: strings.Fields(line)}, err
}

// readRaw reads whatever has arrived.
func readRaw(r *bufio.Reader) (frame, error) {
	buf := make([]byte, 32<<10)
	n, err := r.Read(buf)
	return frame{raw: buf[:n]}, err
}

// decoder collects one value.
type decoder struct {
	r *bufio.Reader
	f frame
}

// value reads a value and its parts, and sets kind to its type.
func (d *decoder) value(kind *byte) error {
	head, err := d.line()
	if err != nil {
		return err
	}
	*kind = head[0]
	switch head[0] {
	case '+', '-', ':', ',', '#', '(', '_':
		d.word(head[1:])
		return nil
	case '$', '!', '=':
		return d.blob(head)
	case '*', '~', '>':
		return d.parts(head, 1)
	case '%':
		return d.parts(head, 2)
	case '|':
		return d.attribute(head, kind)
	}
	return fmt.Errorf("%w: type %q", errProtocol, head[0])
}

// attribute reads an attribute and the value it belongs to. Its words are
// dropped: those of the value are what a rule matches.
func (d *decoder) attribute(head string, kind *byte) error {
	kept := len(d.f.words)
	if err := d.parts(head, 2); err != nil {
		return err
	}
	d.f.words = d.f.words[:kept]
	return d.value(kind)
}

// parts reads the values of an aggregate; each unit of its length has perUnit.
func (d *decoder) parts(head string, perUnit int) error {
	n, err := length(head)
	if err != nil {
		return err
	}
	if n < 0 {
		d.word("")
	}
	for range n * perUnit {
		var ignored byte
		if err := d.value(&ignored); err != nil {
			return err
		}
	}
	return nil
}

// blob reads the bytes announced by head and their line end.
func (d *decoder) blob(head string) error {
	n, err := length(head)
	if err != nil {
		return err
	}
	if n < 0 {
		d.word("")
		return nil
	}
	start := len(d.f.raw)
	d.f.raw = append(d.f.raw, make([]byte, n+2)...)
	if _, err := io.ReadFull(d.r, d.f.raw[start:]); err != nil {
		return err
	}
	d.word(string(d.f.raw[start : start+n]))
	return nil
}

// line reads one line, keeps its bytes and returns it without the line end.
func (d *decoder) line() (string, error) {
	b, err := d.r.ReadBytes('\n')
	if err != nil {
		return "", err
	}
	d.f.raw = append(d.f.raw, b...)
	if len(b) < 3 || b[len(b)-2] != '\r' {
		return "", fmt.Errorf("%w: line %q", errProtocol, b)
	}
	return string(b[:len(b)-2]), nil
}

func (d *decoder) word(s string) { d.f.words = append(d.f.words, s) }

// length parses the number after a type byte; -1 is a RESP2 null.
func length(head string) (int, error) {
	n, err := strconv.Atoi(head[1:])
	if err != nil || n < -1 || n > maxBlob {
		return 0, fmt.Errorf("%w: length %q", errProtocol, head)
	}
	return n, nil
}
