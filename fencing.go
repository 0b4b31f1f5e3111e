package relock

// Token is a fencing token.
type Token int64

// Sequencer is ...
type Sequencer struct {
	Name  string
	Token Token
	Owner Owner
}
