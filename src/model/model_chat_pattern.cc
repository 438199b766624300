#include "model_chat_pattern.h"
#include <cctype>
#include <cstring>

namespace
{
/* Groups nest as deep as a template's author wrote them; no stranger writes a pattern. */
const int depth_max = 8;

struct reading {
    const std::string &pattern;
    size_t at, most;
    bool grouped; /* the group was seen */
};

bool literal(reading &r, char &out)
{
    out = r.pattern[r.at++];
    if (out != '\\')
        return std::strchr(".*+?[]{}|()^$", out) == nullptr;
    if (r.at == r.pattern.size())
        return false;
    out = r.pattern[r.at++];
    return std::isalnum(static_cast<unsigned char>(out)) == 0;
}

bool alternatives(reading &r, std::vector<model_chat_word> &words, int depth);

/* Up to a bar, a closing bracket or the end. */
bool sequence(reading &r, std::vector<model_chat_word> &words, int depth)
{
    const std::string &p = r.pattern;
    while (r.at < p.size() && p[r.at] != '|' && p[r.at] != ')') {
        char c;
        if (p[r.at] == '^') {
            r.at++;
            for (model_chat_word &word : words) {
                if (!word.text.empty())
                    return false;
                word.at_start = true;
            }
        } else if (p[r.at] == '$') {
            if (++r.at != p.size())
                return false;
            for (model_chat_word &word : words)
                word.at_end = true;
        } else if (p.compare(r.at, 3, "(?:") == 0) {
            r.at += 3;
            if (!alternatives(r, words, depth + 1))
                return false;
        } else if (p[r.at] == '(' && p.compare(r.at, 2, "(?") != 0) {
            r.at++;
            if (r.grouped || depth > 0)
                return false;
            r.grouped = true;
            for (model_chat_word &word : words)
                word.before = word.text.size();
            if (!alternatives(r, words, depth + 1))
                return false;
        } else if (p.compare(r.at, 3, "\\s+") == 0) {
            r.at += 3;
            for (model_chat_word &word : words)
                word.text += ' ';
        } else if (literal(r, c)) {
            for (model_chat_word &word : words)
                word.text += c;
        } else {
            return false;
        }
    }
    return true;
}

/* Behind an opening bracket; takes the closing one, which nothing may repeat. */
bool alternatives(reading &r, std::vector<model_chat_word> &words, int depth)
{
    std::vector<model_chat_word> all;
    const std::string &p = r.pattern;
    if (depth > depth_max)
        return false;
    for (;;) {
        std::vector<model_chat_word> these = words;
        if (!sequence(r, these, depth) || r.at == p.size())
            return false;
        all.insert(all.end(), these.begin(), these.end());
        if (all.size() > r.most)
            return false;
        if (p[r.at++] == ')')
            break;
    }
    words = all;
    return true;
}
} // namespace

bool model_chat_pattern_words(const std::string &pattern, size_t most,
                              std::vector<model_chat_word> &out)
{
    reading r = {pattern, 0, most, false};
    std::vector<model_chat_word> words(1);
    if (!sequence(r, words, 0) || r.at != pattern.size() || words.size() > most)
        return false;
    for (const model_chat_word &word : words)
        if (word.text.size() == word.before)
            return false;
    out = words;
    return true;
}
