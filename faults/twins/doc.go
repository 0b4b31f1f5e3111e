// Package twins has the negative twins of relock's promises: the same scenario
// without the part that keeps the promise, which must then be broken. A check
// that finds nothing wrong with the twin would find nothing wrong with relock.
//
//	no fence, and a client that is paused past its lease    updates are lost     TestAPausedClientLosesUpdatesUnlessAGuardStandsThere
//	the maximum of the nodes' INCRs as token of a quorum    tokens regress       TestTheMaximumOfCountsRegresses
//	WAIT on another connection than its write's             two holders          TestWaitOnAnotherConnectionGivesTwoHolders
//
// Two more stand beside what they are twins of: a Guard without Claim loses an
// update (TestAClaimBeforeTheReadSavesTheUpdate in package relock), and the
// maximum of INCRs regresses under random kills and pauses of real nodes, while
// RedLock's tokens rise (TestTokensRiseThroughFaults in package redlock). What
// WAIT itself says on the wrong connection is in TestWaitOnAnotherConnectionLies.
package twins
