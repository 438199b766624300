/* fuzz_replay: main() of a fuzz target outside the preset `fuzz`: gives the target the empty input
 * and then every file of each folder named on the command line, once, in the order of readdir.
 * A folder that does not exist is an empty corpus; a file that cannot be read fails the run. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *dir, const char *name);

int main(int argc, char **argv)
{
    size_t count = 0;
    (void)LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++) {
        DIR *dir = opendir(argv[i]);
        if (dir == NULL && errno == ENOENT)
            continue;
        if (dir == NULL) {
            fprintf(stderr, "%s: %s\n", argv[i], strerror(errno));
            return EXIT_FAILURE;
        }
        for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
            if (entry->d_name[0] == '.')
                continue;
            if (replay_file(argv[i], entry->d_name) != 0) {
                closedir(dir);
                return EXIT_FAILURE;
            }
            count++;
        }
        closedir(dir);
    }
    printf("replayed %zu files\n", count);
    return EXIT_SUCCESS;
}

/* The target gets its own exact allocation, so that reading one byte too far is caught. */
static int replay_file(const char *dir, const char *name)
{
    char path[4096];
    int len = snprintf(path, sizeof(path), "%s/%s", dir, name);
    if (len < 0 || (size_t)len >= sizeof(path))
        return -1;
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        if (file != NULL)
            fclose(file);
        return -1;
    }
    long size = ftell(file);
    rewind(file);
    uint8_t *data = size >= 0 ? malloc(size > 0 ? (size_t)size : 1) : NULL;
    if (data == NULL || fread(data, 1, (size_t)size, file) != (size_t)size) {
        fprintf(stderr, "%s: could not read it\n", path);
        free(data);
        fclose(file);
        return -1;
    }
    fclose(file);
    (void)LLVMFuzzerTestOneInput(data, (size_t)size);
    free(data);
    return 0;
}
