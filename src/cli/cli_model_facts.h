/* cli_model_facts: what a model needs and does, before it is loaded. Any thread. Blocks for reading
 * the file's header. */
#pragma once
#include "relay_local.h"

/* Of a file that weir-infer would be run for with `argv`, ended by NULL. Nothing is known of one
 * that cannot be used. */
struct relay_local_facts cli_model_facts(const char *path, const char *const *argv);
