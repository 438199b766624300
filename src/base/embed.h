/* embed: a row of what weir_embed (cmake/weir_embed.cmake) makes of a folder; the last has no name.
 */
#pragma once
#include <stddef.h>

struct embed_file {
    const char *name;          /* below the folder: "assets/app.js" */
    const unsigned char *data; /* followed by a zero byte, which does not count */
    size_t size;
};
