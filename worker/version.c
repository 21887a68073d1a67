// SPDX-License-Identifier: Apache-2.0
#include "worker/version.h"

#include <librdkafka/rdkafka.h>
#include <lmdb.h>

const char *mr_version(void)
{
    return MR_VERSION;
}

void mr_version_print(FILE *out)
{
    fprintf(out, "millrace %s\n", MR_VERSION);
    fprintf(out, "librdkafka %s\n", rd_kafka_version_str());
    fprintf(out, "lmdb %d.%d.%d\n", MDB_VERSION_MAJOR, MDB_VERSION_MINOR, MDB_VERSION_PATCH);
}
