/* chat_title: titles made of a first message, and looked for. Any thread; nothing waits. */
#pragma once
#include "arena.h"
#include "base.h"
#include "text.h"

enum { CHAT_TITLE_MADE_CHARS = 60 };

/* The first line that has something on it, without the marks of Markdown before it, at most 60
 * characters, cut between words where it can be. Points into `content`. */
struct text chat_title_of(struct text content);
/* `text` with capital letters made small: Latin, Greek, Cyrillic, Armenian. In `arena`. */
struct text chat_title_fold(struct text text, struct arena *arena);
