// SPDX-License-Identifier: Apache-2.0
// pseudonym: names for users that say nothing of who they are, but to whoever has the key.
//
// HMAC-SHA-256 of the id under the key, its first 16 bytes in base64url without padding: 22
// characters. The same id has the same name under the same key; without the key nobody can tell
// names from ids, nor try ids out. One thread.
#ifndef MR_WORKER_PSEUDONYM_H
#define MR_WORKER_PSEUDONYM_H

#include "core/base/bytes.h"
#include "core/base/error.h"

enum { MR_PSEUDONYM_BYTES = 22, MR_PSEUDONYM_KEY_MIN = 16, MR_PSEUDONYM_KEY_MAX = 4096 };

typedef struct mr_pseudonym mr_pseudonym;

// The key is the file's content without line breaks at its end. Errors: MR_FATAL: the file cannot
// be read, or has fewer than 16 bytes or more than 4096; its content is in no message.
MR_CHECKED mr_status mr_pseudonym_open(const char *key_file, mr_pseudonym **pseudonym,
                                       mr_error *err);
void mr_pseudonym_close(mr_pseudonym *pseudonym);

void mr_pseudonym_of(mr_pseudonym *pseudonym, mr_bytes id, char name[MR_PSEUDONYM_BYTES]);

#endif
