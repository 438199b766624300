/* model_chat_pattern: the pattern by which a template's calls are known in an answer, as the few
 * texts that it stands for. C++, for model_chat.cc alone. */
#pragma once
#include <cstddef>
#include <string>
#include <vector>

struct model_chat_word {
    std::string text;
    size_t before = 0; /* bytes of it that come before the pattern's group, where it has one */
    bool at_start = false, at_end = false;
};

/* Taken: literals, \s+ (as one space), ^, $ at the end, (?:a|b), and one group. False for anything
 * else, or when there would be more than `most`. */
bool model_chat_pattern_words(const std::string &pattern, size_t most,
                              std::vector<model_chat_word> &out);
