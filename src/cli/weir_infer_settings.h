/* weir_infer_settings: the arguments of weir-infer, and its words of help. Before there are
 * threads.
 */
#pragma once
#include "base.h"
#include "http_tls.h"
#include "engine.h"
#include "model_llama.h"
#include "net.h"
#include "status.h"
#include "text.h"

enum { WEIR_INFER_TOKEN_BYTES_MAX = 512 };

struct weir_infer_settings {
    struct model_llama_options llama;
    struct engine_options engine;
    struct net_address listen;
    const char *listen_text, *name, *token_file;
    struct text adapters[MODEL_ADAPTERS_MAX]; /* names of llama.adapters */
    struct http_tls_server_options tls;
    bool allow_plaintext, no_sandbox;
    char token[WEIR_INFER_TOKEN_BYTES_MAX];
    size_t token_len;
    int64_t drain_ms;
    int report_fd; /* --report-fd; -1: none */
    const char *public_prompt_file;
    struct text public_prompt; /* what stands in it; at NULL: none */
};

/* Answers --help and --version by itself, and ends. `s` is zeroed; what was read before a fault is
 * in it. Its texts are the arguments. Fails: STATUS_INVALID, STATUS_SYSTEM for the token's file. */
MUST_CHECK bool weir_infer_settings_read(int argc, char **argv, struct weir_infer_settings *s,
                                         struct status *st);
