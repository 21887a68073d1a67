// SPDX-License-Identifier: Apache-2.0
// failpoint: places where a test can end, stop or delay the process.
//
// Only in builds with MILLRACE_FAILPOINTS; in others a place is nothing at all. One place at a time:
// the environment's MILLRACE_FAILPOINT=NAME:NTH:ACTION[:MS], read once. The NTH time that any
// thread passes the place NAME
//
//   kill    the process gets SIGKILL; with MS, so long after, while it goes on
//   stop    SIGSTOP, likewise
//   exit    it ends with status 1, without any cleaning up
//   delay   this thread sleeps for MS
//
// It stands in this room because the store has a place inside its commit, and includes only what is
// below it.
#ifndef MR_STATE_FAILPOINT_H
#define MR_STATE_FAILPOINT_H

#ifdef MR_FAILPOINTS
void mr_failpoint(const char *name);
#else
static inline void mr_failpoint(const char *name)
{
    (void)name;
}
#endif

#endif
