// SPDX-License-Identifier: Apache-2.0
// Runs a fuzz target over the files of a directory, and over each file cut off at every byte: the
// corpus as a plain test, for compilers without libFuzzer.
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILE_BYTES_MAX = 1 << 16 };

static int run_file(const char *directory, const char *name)
{
    char path[4096];
    uint8_t *whole = malloc(FILE_BYTES_MAX);
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "rb");
    if (file == NULL || whole == NULL) {
        perror(path);
        return 1;
    }
    const size_t size = fread(whole, 1, FILE_BYTES_MAX, file);
    fclose(file);
    for (size_t cut = 0; cut <= size; cut++) {
        uint8_t *exact = malloc(cut + 1); // a copy, so that a sanitizer sees a byte too far
        memcpy(exact + 1, whole, cut);
        LLVMFuzzerTestOneInput(exact + 1, cut);
        free(exact);
    }
    free(whole);
    return 0;
}

int main(int argc, char **argv)
{
    struct dirent **entries;
    int bad = 0, files = 0;
    if (argc != 2) {
        fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
        return 2;
    }
    const int count = scandir(argv[1], &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        if (entries[i]->d_name[0] != '.') {
            bad |= run_file(argv[1], entries[i]->d_name);
            files++;
        }
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    printf("%d files of %s\n", files, argv[1]);
    return bad != 0 || files == 0;
}
