package sqlfence

import (
	"errors"
	"reflect"
	"strconv"
	"strings"
)

// sqlState is the SQLSTATE of an error of PostgreSQL's drivers.
func sqlState(err error) string {
	var said interface{ SQLState() string }
	if errors.As(err, &said) {
		return said.SQLState()
	}
	return ""
}

// mysqlNumber is the number of an error of go-sql-driver/mysql, which has it in a
// field.
func mysqlNumber(err error) string { return search(err, "mysql", numberIn("Number")) }

// sqliteCode is the primary result code of an error of SQLite's drivers, which
// have it in a method or a field.
func sqliteCode(err error) string {
	full, err := strconv.Atoi(search(err, "sqlite", numberOf("Code"), numberIn("Code")))
	if err != nil {
		return ""
	}
	return strconv.Itoa(full & 0xff)
}

// search returns the first number that one of the looks finds in err, or in what it
// wraps, of a type whose package is named for the driver: others, as those of RPC
// calls, number their errors too.
func search(err error, driver string, looks ...func(reflect.Value) (string, bool)) string {
	if err == nil {
		return ""
	}
	if strings.Contains(packageOf(reflect.TypeOf(err)), driver) {
		for _, look := range looks {
			if found, ok := look(reflect.ValueOf(err)); ok {
				return found
			}
		}
	}
	switch wrapped := err.(type) {
	case interface{ Unwrap() error }:
		return search(wrapped.Unwrap(), driver, looks...)
	case interface{ Unwrap() []error }:
		for _, one := range wrapped.Unwrap() {
			if found := search(one, driver, looks...); found != "" {
				return found
			}
		}
	}
	return ""
}

// packageOf is the path of the package of a type, or of what it points to.
func packageOf(t reflect.Type) string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.PkgPath()
}

// numberIn looks at a field.
func numberIn(field string) func(reflect.Value) (string, bool) {
	return func(v reflect.Value) (string, bool) {
		if v.Kind() == reflect.Pointer {
			v = v.Elem()
		}
		if v.Kind() != reflect.Struct {
			return "", false
		}
		return number(v.FieldByName(field))
	}
}

// numberOf looks at what a method returns.
func numberOf(method string) func(reflect.Value) (string, bool) {
	return func(v reflect.Value) (string, bool) {
		m := v.MethodByName(method)
		if !m.IsValid() || m.Type().NumIn() != 0 || m.Type().NumOut() != 1 || v.Kind() == reflect.Pointer && v.IsNil() {
			return "", false
		}
		return number(m.Call(nil)[0])
	}
}

func number(v reflect.Value) (string, bool) {
	switch {
	case v.CanInt():
		return strconv.FormatInt(v.Int(), 10), true
	case v.CanUint():
		return strconv.FormatUint(v.Uint(), 10), true
	}
	return "", false
}
