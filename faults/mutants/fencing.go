package main

// fencing breaks what travels to other storages.
var fencing = []mutant{
	{
		name:   "a token from the future passes to other storages",
		edit:   edit{"fence/fence.go", "case int64(s.Token) > time.Now().Add(MaxAhead).UnixMicro():", "case int64(s.Token) > time.Now().Add(MaxAhead).UnixMicro() && s.Name == \"\":"},
		killer: fence("TestWhatNoLockIssuesIsRefusedUnseen"),
	},
	{
		name:   "any signature will do",
		edit:   edit{"fence/sign.go", "if g != nil && !g.signedBy(text, signature) {", "if g != nil && signature == \"\" {"},
		killer: fence("TestASignerTakesWhatAKeyOfItsHasSigned"),
	},
	{
		name:   "a stranger to whom a request is redirected is told its holder",
		edit:   edit{"fence/http.go", "for ; r.Response != nil; r = r.Response.Request {", "if r.Response != nil {"},
		killer: fence("TestAnotherHostIsToldNoHolder"),
	},
	{
		name:   "a redirect from https to http has a holder sent in the clear",
		edit:   edit{"fence/http.go", ` || from.URL.Scheme == "https" && r.URL.Scheme != "https" {`, " {"},
		killer: fence("TestAHolderThatWasLeftOutStaysOut"),
	},
	{
		name:   "a service takes the sequencer of another lock",
		edit:   edit{"fence/http.go", "if s.Name != lock {", "if s.Name == \"\" {"},
		killer: fence("TestARequestWithoutAUsableHolderIsABadOne"),
	},
	{
		name:   "a handler runs though its claim was refused",
		edit:   edit{"fence/http.go", "return s, m.Claims.Claim(r.Context(), resource, s)", "_ = m.Claims.Claim(r.Context(), resource, s)\n	return s, nil"},
		killer: fence("TestAMiddlewareClaimsBeforeTheHandlerRuns"),
	},
}
