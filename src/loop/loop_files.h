/* loop_files: how many descriptors the process may have open. Each connection is one, and the soft
 * limit that a shell or an init gives (1,024 as a rule, for programs that use select) is far below
 * what a server needs. Nothing here waits. At start, before there are threads. */
#pragma once
#include <stdint.h>

/* Raises the soft limit of open files to `wanted`, or as far as the hard limit lets it; never
 * lowers it. Gives what is in force then. Children inherit it. */
uint64_t loop_files_raise(uint64_t wanted);
