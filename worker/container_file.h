// SPDX-License-Identifier: Apache-2.0
// container_file: writes an Avro object container file (codec deflate), record by record.
// Source: Apache Avro 1.12, "Object Container Files".
#ifndef MR_WORKER_CONTAINER_FILE_H
#define MR_WORKER_CONTAINER_FILE_H

#include "core/base/bytes.h"
#include "core/base/error.h"

typedef struct mr_container_file mr_container_file;

// Makes the file, replacing one that is there. Errors: MR_FATAL with the path.
MR_CHECKED mr_status mr_container_file_open(const char *path, mr_bytes schema,
                                            mr_container_file **file, mr_error *err);
// Appends one encoded record, copied.
MR_CHECKED mr_status mr_container_file_put(mr_container_file *file, mr_bytes record, mr_error *err);
// Writes what is left and closes. Frees the file whatever the status.
mr_status mr_container_file_close(mr_container_file *file, mr_error *err);

#endif
