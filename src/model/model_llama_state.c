/* The cache of a sequence: emptied, cut, moved, and copied to the host's memory and back. */
#include "model_llama_internal.h"
#include <stdlib.h>

static struct model_llama *llama_of(struct engine_backend *backend);

void model_llama_clear(struct engine_backend *backend, int32_t sequence)
{
    llama_memory_seq_rm(llama_get_memory(llama_of(backend)->context), sequence, -1, -1);
}

/* By way of the host's memory: copying a whole sequence inside the cache would copy its unused
 * part as well. */
bool model_llama_move(struct engine_backend *backend, int32_t from, int32_t to)
{
    struct model_llama *l = llama_of(backend);
    size_t size = model_llama_state_size(backend, from);
    if (size == 0)
        return false;
    if (size > l->state_size) {
        free(l->state);
        l->state = malloc(size);
        l->state_size = l->state == NULL ? 0 : size;
    }
    if (l->state == NULL || model_llama_state_save(backend, from, l->state, size) != size ||
        !model_llama_state_load(backend, to, l->state, size))
        return false;
    model_llama_clear(backend, from);
    return true;
}

size_t model_llama_state_size(struct engine_backend *backend, int32_t sequence)
{
    return llama_state_seq_get_size(llama_of(backend)->context, sequence);
}

size_t model_llama_state_save(struct engine_backend *backend, int32_t sequence, void *out,
                              size_t size)
{
    return llama_state_seq_get_data(llama_of(backend)->context, out, size, sequence);
}

bool model_llama_state_load(struct engine_backend *backend, int32_t sequence, const void *blob,
                            size_t size)
{
    struct model_llama *l = llama_of(backend);
    if (llama_state_seq_set_data(l->context, blob, size, sequence) != 0)
        return true;
    model_llama_clear(backend, sequence);
    return false;
}

/* With a sliding window the library forgets what lies behind it, and would cut all the same: the
 * tokens after the cut would then miss a part of what they should see. */
bool model_llama_trim(struct engine_backend *backend, int32_t sequence, uint32_t tokens)
{
    struct model_llama *l = llama_of(backend);
    llama_memory_t memory = llama_get_memory(l->context);
    llama_pos last = llama_memory_seq_pos_max(memory, sequence);
    if (last < 0 || (uint32_t)last < tokens)
        return true;
    if (tokens > 0 && l->facts.recurrent)
        return false;
    uint32_t window = l->facts.window, behind = tokens > window ? tokens - window : 0;
    llama_pos first = llama_memory_seq_pos_min(memory, sequence);
    if (tokens > 0 && window > 0 && (first < 0 || (uint32_t)first > behind))
        return false;
    return llama_memory_seq_rm(memory, sequence, (llama_pos)tokens, -1);
}

void model_llama_probe_trim(struct model_llama *l)
{
    l->facts.window = (uint32_t)llama_model_n_swa(l->model);
    l->facts.recurrent = llama_model_is_recurrent(l->model) || llama_model_is_hybrid(l->model) ||
                         !llama_memory_seq_rm(llama_get_memory(l->context), 0, 1, -1);
}

static struct model_llama *llama_of(struct engine_backend *backend)
{
    return (void *)backend;
}
