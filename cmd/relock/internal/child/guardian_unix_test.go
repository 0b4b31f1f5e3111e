//go:build unix

package child

import (
	"slices"
	"strings"
	"testing"
)

func TestOnlyByeEndsAGuardiansWatch(t *testing.T) {
	one := order{killAt: 1, patience: 2, grace: 3}
	for name, tt := range map[string]struct {
		told string
		want []order
	}{
		"as it is written":                             {one.String() + order{bye: true}.String(), []order{one, {bye: true}}},
		"half an order is the last one of the dead":    {one.String() + "until 4 5", []order{one}},
		"an order that makes no sense is no bye":       {"byebye\n" + one.String(), nil},
		"an empty one neither":                         {"\nbye\n", nil},
		"nor is anything heard of whoever talks so":    {one.String() + "util 4 5 6\n" + one.String(), []order{one}},
		"of whoever is gone without a word is no word": {"", nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []order
			for o := range ordersOf(strings.NewReader(tt.told)) {
				got = append(got, o)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
