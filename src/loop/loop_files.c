#include "loop_files.h"
#include <sys/resource.h>

uint64_t loop_files_raise(uint64_t wanted)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return wanted; /* nobody knows of a limit */
    rlim_t before = files.rlim_cur;
    if (files.rlim_cur >= wanted)
        return files.rlim_cur;
    files.rlim_cur = files.rlim_max < wanted ? files.rlim_max : (rlim_t)wanted;
    return setrlimit(RLIMIT_NOFILE, &files) == 0 ? files.rlim_cur : before;
}
