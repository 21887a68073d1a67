// SPDX-License-Identifier: Apache-2.0
#include "worker/pseudonym.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TAG_BYTES = 32, KEPT_BYTES = 16 };

struct mr_pseudonym {
    EVP_MAC *mac;
    EVP_MAC_CTX *context; // keyed; begins anew for each id
};

static mr_status read_key(const char *path, uint8_t key[MR_PSEUDONYM_KEY_MAX + 1], size_t *size,
                          mr_error *err)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return mr_fail(err, MR_FATAL, "%s: %s", path, strerror(errno));
    *size = fread(key, 1, MR_PSEUDONYM_KEY_MAX + 1, file);
    const bool failed = ferror(file) != 0;
    fclose(file);
    if (failed)
        return mr_fail(err, MR_FATAL, "%s: cannot be read", path);
    if (*size > MR_PSEUDONYM_KEY_MAX)
        return mr_fail(err, MR_FATAL, "%s: a key of more than %d bytes", path,
                       MR_PSEUDONYM_KEY_MAX);
    while (*size > 0 && (key[*size - 1] == '\n' || key[*size - 1] == '\r'))
        (*size)--;
    if (*size < MR_PSEUDONYM_KEY_MIN)
        return mr_fail(err, MR_FATAL,
                       "%s: a key of %zu bytes, want %d or more: openssl rand -hex 32 makes one",
                       path, *size, MR_PSEUDONYM_KEY_MIN);
    return MR_OK;
}

static bool prepare(mr_pseudonym *p, const uint8_t *key, size_t size)
{
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    p->mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    p->context = p->mac != NULL ? EVP_MAC_CTX_new(p->mac) : NULL;
    return p->context != NULL && EVP_MAC_init(p->context, key, size, params) == 1;
}

mr_status mr_pseudonym_open(const char *key_file, mr_pseudonym **out, mr_error *err)
{
    uint8_t key[MR_PSEUDONYM_KEY_MAX + 1];
    size_t size = 0;
    mr_status status = read_key(key_file, key, &size, err);
    mr_pseudonym *p = status == MR_OK ? calloc(1, sizeof *p) : NULL;
    if (status == MR_OK && (p == NULL || !prepare(p, key, size)))
        status = mr_fail(err, MR_FATAL, "%s: the library gives no HMAC-SHA-256", key_file);
    OPENSSL_cleanse(key, sizeof key);
    if (status != MR_OK) {
        mr_pseudonym_close(p);
        return status;
    }
    *out = p;
    return MR_OK;
}

void mr_pseudonym_close(mr_pseudonym *p)
{
    if (p == NULL)
        return;
    EVP_MAC_CTX_free(p->context);
    EVP_MAC_free(p->mac);
    free(p);
}

void mr_pseudonym_of(mr_pseudonym *p, mr_bytes id, char name[MR_PSEUDONYM_BYTES])
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t tag[TAG_BYTES];
    size_t size = 0;
    // With the key that it has: nothing here can fail but for want of memory, which it has by now.
    const bool good = EVP_MAC_init(p->context, NULL, 0, NULL) == 1 &&
                      EVP_MAC_update(p->context, id.data, id.size) == 1 &&
                      EVP_MAC_final(p->context, tag, &size, sizeof tag) == 1;
    MR_ASSERT(good && size == TAG_BYTES);
    uint32_t bits = 0, held = 0, at = 0;
    for (uint32_t i = 0; i < KEPT_BYTES; i++) {
        held = held << 8 | tag[i];
        for (bits += 8; bits >= 6; bits -= 6)
            name[at++] = letters[held >> (bits - 6) & 63];
    }
    name[at++] = letters[held << (6 - bits) & 63];
    MR_ASSERT(at == MR_PSEUDONYM_BYTES);
}
