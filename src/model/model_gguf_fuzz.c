/* Any bytes as the start of a model file; the first two say how long the file claims to be. */
#include "model_gguf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct text start = {(const char *)data + 2, size - 2};
    uint64_t file_bytes = start.len + (uint64_t)(data[0] | data[1] << 8) * 64;
    struct status st = {0};
    if (model_gguf_check_bytes(start, file_bytes, &st))
        WEIR_ASSERT(st.code == STATUS_OK);
    else
        WEIR_ASSERT(st.code == STATUS_INVALID && st.text[0] != 0);
    return 0;
}
