package fence_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/fence"
)

// sequencer is one of the examples' holders.
func sequencer(token relock.Token, owner relock.Owner) relock.Sequencer {
	return relock.Sequencer{Name: "report", Token: token, Owner: owner}
}

// item is the part of a DynamoDB UpdateItem that matters here, under its names.
type item struct {
	TableName                 string
	Key                       map[string]string
	UpdateExpression          string
	ConditionExpression       string
	ExpressionAttributeValues map[string]any
}

// errCondition stands for types.ConditionalCheckFailedException.
var errCondition = errors.New("ConditionalCheckFailed")

// claimItem claims an item of DynamoDB, before it is read with ConsistentRead.
func claimItem(ctx context.Context, update func(context.Context, item) error, id string, s relock.Sequencer) error {
	if err := fence.Check(s); err != nil {
		return err
	}
	err := update(ctx, item{
		TableName: "accounts", Key: map[string]string{"id": id},
		UpdateExpression:          "SET fence = :t, fence_owner = :o",
		ConditionExpression:       "attribute_not_exists(fence) OR fence < :t OR (fence = :t AND fence_owner = :o)",
		ExpressionAttributeValues: map[string]any{":t": int64(s.Token), ":o": string(s.Owner)},
	})
	if errors.Is(err, errCondition) {
		return fmt.Errorf("%w: token %d came to %s too late", relock.ErrStaleToken, s.Token, id)
	}
	return err
}

// writeItem writes what was made of the item since it was claimed.
func writeItem(ctx context.Context, update func(context.Context, item) error, id string, s relock.Sequencer, balance int64) error {
	err := update(ctx, item{
		TableName: "accounts", Key: map[string]string{"id": id},
		UpdateExpression:          "SET balance = :b",
		ConditionExpression:       "fence = :t AND fence_owner = :o",
		ExpressionAttributeValues: map[string]any{":t": int64(s.Token), ":o": string(s.Owner), ":b": balance},
	})
	if errors.Is(err, errCondition) {
		return fmt.Errorf("%w: %s was claimed since", relock.ErrStaleToken, id)
	}
	return err
}

// DynamoDB's conditions are the rule as it stands.
func Example_dynamoDB() {
	ctx := context.Background()
	var had struct {
		fence   int64
		owner   string
		balance int64
	}
	update := func(_ context.Context, i item) error { // stands in for the service
		t, o := i.ExpressionAttributeValues[":t"].(int64), i.ExpressionAttributeValues[":o"].(string)
		same := had.fence == t && had.owner == o
		switch claims := strings.HasPrefix(i.ConditionExpression, "attribute_not_exists"); {
		case claims && (had.fence < t || same):
			had.fence, had.owner = t, o
		case !claims && same:
			had.balance = i.ExpressionAttributeValues[":b"].(int64)
		default:
			return errCondition
		}
		return nil
	}
	slow, next := sequencer(7, "a"), sequencer(9, "b")
	fmt.Println(claimItem(ctx, update, "7", slow))
	fmt.Println(claimItem(ctx, update, "7", next))
	fmt.Println(writeItem(ctx, update, "7", slow, 1))
	fmt.Println(writeItem(ctx, update, "7", next, 100))
	fmt.Println(had.balance)
	// Output:
	// <nil>
	// <nil>
	// relock: stale token: 7 was claimed since
	// <nil>
	// 100
}

// record is a record of a log such as Kafka's.
type record struct {
	Key, Value []byte
	Headers    map[string]string
}

// produce makes a record on behalf of a holder.
func produce(signer *fence.Signer, s relock.Sequencer, key, value string) (record, error) {
	text, err := signer.Sign(s)
	return record{[]byte(key), []byte(value), map[string]string{fence.Header: text}}, err
}

// consume applies a record, unless a later holder's was applied before it.
func consume(ctx context.Context, guard *relock.Guard, signer *fence.Signer, r record) error {
	holder, err := signer.Verify(r.Headers[fence.Header])
	if err != nil {
		return err
	}
	err = guard.Set(ctx, "applied:"+string(r.Key), holder, r.Value, 0)
	if errors.Is(err, relock.ErrStaleToken) {
		return nil // overtaken: the record says nothing any more
	}
	return err
}

// A log takes records as they come; who applies them has the fence.
func Example_log() {
	client, rdb, stop := connect()
	defer stop()
	ctx := context.Background()
	guard := relock.NewGuard(rdb)
	slow, _ := client.Mutex("report").Lock(ctx)
	_ = slow.Unlock(ctx)
	next, _ := client.Mutex("report").Lock(ctx)
	defer next.Unlock(ctx)
	for _, lease := range []*relock.Lease{next, slow} {
		r, err := produce(nil, lease.Sequencer(), "price", "of "+map[bool]string{true: "the later", false: "the earlier"}[lease == next])
		if err != nil {
			log.Fatal(err)
		}
		if err := consume(ctx, guard, nil, r); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(rdb.Get(ctx, "applied:price").Val())
	// Output: of the later
}

// publish replaces a file that is made afresh each time. The name of each version
// ends in its token, so that a late one comes before those that have overtaken it.
func publish(path string, s relock.Sequencer, data []byte) error {
	if err := fence.Check(s); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".publish-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // fails once it is renamed
	_, err = tmp.Write(data)
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), fmt.Sprintf("%s.%019d", path, s.Token)); err != nil {
		return err
	}
	versions, err := filepath.Glob(path + ".*")
	if err != nil || len(versions) == 0 || versions[len(versions)-1] == fmt.Sprintf("%s.%019d", path, s.Token) {
		return err
	}
	return fmt.Errorf("%w: %s is there already", relock.ErrStaleToken, versions[len(versions)-1])
}

// published is the latest version of such a file.
func published(path string) ([]byte, error) {
	versions, err := filepath.Glob(path + ".*") // sorted
	if err != nil || len(versions) == 0 {
		return nil, errors.Join(err, fs.ErrNotExist)
	}
	return os.ReadFile(slices.Max(versions))
}

// Readers of files take the one of the greatest token.
func Example_files() {
	dir, err := os.MkdirTemp("", "published-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "report.csv")
	fmt.Println(publish(path, sequencer(9, "b"), []byte("new")))
	fmt.Println(errors.Is(publish(path, sequencer(7, "a"), []byte("late")), relock.ErrStaleToken))
	data, err := published(path)
	fmt.Println(string(data), err)
	// Output:
	// <nil>
	// true
	// new <nil>
}
