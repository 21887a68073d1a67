// SPDX-License-Identifier: Apache-2.0
// print_tree: a JSON value for people: names and values in two columns, arrays of objects as
// tables.
//
// So that a command says the same to people and, with --json, to scripts.
#ifndef MR_WORKER_PRINT_TREE_H
#define MR_WORKER_PRINT_TREE_H

#include <jansson.h>
#include <stdio.h>

// Members of the object in their order: first the plain ones, then objects and tables under their
// name. A member that is an empty array or object is left out.
void mr_print_tree(json_t *object, FILE *out);

#endif
