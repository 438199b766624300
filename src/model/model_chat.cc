extern "C" {
#include "model_chat.h"
}
#include "model_chat_pattern.h"
#include <common/chat.h>
#include <common/log.h>
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <string>
#include <vector>

struct model_chat {
    common_chat_templates_ptr templates;
    /* Without tools the template alone tells all: `common` then need not work out, by rendering the
     * template many times, how an answer is to be taken apart. */
    bool plain = false;
    bool takes_tools = false;
    bool thinks = false;
    std::vector<std::string> kept;
    std::vector<const char *> kept_texts; /* of those, and NULL */
};

struct model_chat_format {
    std::shared_ptr<const common_chat_parser_params> params;
};

static const char probe_messages[] =
    R"([{"role":"user","content":"one"},{"role":"assistant","content":"two"},)"
    R"({"role":"user","content":"three"}])";
static const char probe_tools[] =
    R"([{"type":"function","function":{"name":"weir_probe","description":"A probe.","parameters":)"
    R"({"type":"object","properties":{"weir_argument":{"type":"integer"}},)"
    R"("required":["weir_argument"]}}}])";

static common_chat_params apply(const model_chat *chat, const model_chat_input *input, bool plain)
{
    common_chat_templates_inputs in;
    in.messages =
        common_chat_msgs_parse_oaicompat(common_json::parse(std::string(input->messages)));
    if (input->tools != nullptr) {
        in.tools = common_chat_tools_parse_oaicompat(common_json::parse(std::string(input->tools)));
        in.tool_choice =
            input->must_call ? COMMON_CHAT_TOOL_CHOICE_REQUIRED : COMMON_CHAT_TOOL_CHOICE_AUTO;
        in.parallel_tool_calls = input->parallel;
    }
    in.reasoning_format = COMMON_REASONING_FORMAT_AUTO;
    in.enable_thinking = !input->no_thoughts;
    in.force_pure_content = plain;
    return common_chat_templates_apply(chat->templates.get(), in);
}

static void keep(model_chat *chat, const common_chat_params &params)
{
    for (const std::string &text : params.preserved_tokens)
        if (!text.empty() &&
            std::find(chat->kept.begin(), chat->kept.end(), text) == chat->kept.end())
            chat->kept.push_back(text);
}

static void look_at(model_chat *chat)
{
    model_chat_input probe = {};
    probe.messages = probe_messages;
    try {
        common_chat_params full = apply(chat, &probe, false);
        keep(chat, full);
        chat->thinks = full.supports_thinking;
        chat->plain = !full.supports_thinking && full.grammar.empty() &&
                      full.additional_stops.empty() &&
                      full.prompt == apply(chat, &probe, true).prompt;
        probe.tools = probe_tools;
        probe.must_call = true;
        common_chat_params told = apply(chat, &probe, false);
        keep(chat, told);
        chat->takes_tools = told.prompt.find("weir_argument") != std::string::npos &&
                            told.grammar.find("weir_probe") != std::string::npos;
    } catch (const std::exception &) {
        /* Then it takes none, or has its own way with everything. */
    }
}

static char *copy(const std::string &text)
{
    char *memory = static_cast<char *>(base_alloc(text.size() + 1));
    std::memcpy(memory, text.c_str(), text.size() + 1);
    return memory;
}

extern "C" bool model_chat_open(const struct llama_model *model, const char *source,
                                struct model_chat **out, struct status *st)
{
    common_log_set_verbosity_thold(-1);
    model_chat *chat = new model_chat();
    try {
        chat->templates = common_chat_templates_init(model, source == nullptr ? "" : source);
    } catch (const std::exception &error) {
        delete chat;
        return status_fail(st, STATUS_INVALID, "the chat template cannot be used: %s",
                           error.what());
    }
    look_at(chat);
    for (const std::string &text : chat->kept)
        chat->kept_texts.push_back(text.c_str());
    chat->kept_texts.push_back(nullptr);
    *out = chat;
    return true;
}

extern "C" void model_chat_close(struct model_chat *chat)
{
    delete chat;
}

extern "C" bool model_chat_takes_tools(const struct model_chat *chat)
{
    return chat->takes_tools;
}

extern "C" bool model_chat_thinks(const struct model_chat *chat)
{
    return chat->thinks;
}

extern "C" const char *const *model_chat_kept(const struct model_chat *chat)
{
    return chat->kept_texts.data();
}

/* All of them, or none where one is a pattern that stands for no few texts (">>>(?!all)"): the
 * answer is then free, and only read. Half of them would leave some calls free anyhow. */
static std::vector<model_chat_word> words_of(const common_chat_params &params)
{
    std::vector<model_chat_word> words;
    for (const common_grammar_trigger &trigger : params.grammar_triggers) {
        std::vector<model_chat_word> more(1);
        more[0].text = trigger.value;
        bool taken = trigger.type == COMMON_GRAMMAR_TRIGGER_TYPE_WORD
                         ? !trigger.value.empty()
                         : trigger.type == COMMON_GRAMMAR_TRIGGER_TYPE_PATTERN &&
                               model_chat_pattern_words(trigger.value, MODEL_CHAT_WORDS_MAX, more);
        if (!taken || words.size() + more.size() > MODEL_CHAT_WORDS_MAX)
            return {};
        words.insert(words.end(), more.begin(), more.end());
    }
    return words;
}

static void take_grammar(const common_chat_params &params, model_chat_output *out)
{
    for (const model_chat_word &word : words_of(params))
        out->triggers[out->triggers_count++] = {copy(word.text), word.before, word.at_start,
                                                word.at_end};
    out->lazy = params.grammar_lazy;
    out->grammar = copy(params.grammar_lazy && out->triggers_count == 0 ? "" : params.grammar);
    out->written = copy(params.grammar_lazy ? "" : params.generation_prompt);
}

extern "C" bool model_chat_apply(const struct model_chat *chat,
                                 const struct model_chat_input *input,
                                 struct model_chat_output *out, struct status *st)
{
    try {
        bool plain = chat->plain && input->tools == nullptr;
        common_chat_params params = apply(chat, input, plain);
        model_chat_output made = {};
        size_t stops = 0;
        if (!plain) {
            auto format = std::make_shared<common_chat_parser_params>(params);
            format->reasoning_format = COMMON_REASONING_FORMAT_AUTO;
            if (!params.parser.empty())
                format->parser.load(params.parser);
            made.format = new model_chat_format{format};
        }
        made.prompt = copy(params.prompt);
        made.prompt_len = params.prompt.size();
        take_grammar(params, &made);
        for (const std::string &stop : params.additional_stops)
            if (!stop.empty() && stops + 1 < MODEL_CHAT_WORDS_MAX)
                made.stops[stops++] = copy(stop);
        *out = made;
        return true;
    } catch (const std::exception &error) {
        return status_fail_field(st, STATUS_INVALID, "messages",
                                 "the model's chat template refuses the messages: %s",
                                 error.what());
    }
}

extern "C" void model_chat_output_free(struct model_chat_output *output)
{
    std::free(output->prompt);
    std::free(output->grammar);
    std::free(output->written);
    for (int i = 0; i < MODEL_CHAT_WORDS_MAX; i++) {
        std::free(output->triggers[i].text);
        std::free(output->stops[i]);
    }
    model_chat_format_free(output->format);
    *output = model_chat_output{};
}

extern "C" void model_chat_format_free(struct model_chat_format *format)
{
    delete format;
}

/* --- reading ---------------------------------------------------------------------------------- */

namespace
{
/* `common` reads an answer from its beginning each time; a long one therefore only when it has
 * grown by a share of itself. */
const size_t growth_share = 64;

struct reader {
    model_reader base; /* first */
    std::shared_ptr<const common_chat_parser_params> params;
    std::string text;
    size_t read = 0; /* of `text`, so far */
    common_chat_msg told;
    bool lost = false; /* it does not read like an answer: the rest is content */
};

void tell(model_part_fn *part, void *arg, model_part_kind kind, size_t call,
          const std::string &text)
{
    model_part one = {kind, static_cast<uint32_t>(call), {text.data(), text.size()}};
    if (!text.empty())
        part(arg, &one);
}

void tell_new(reader *r, const common_chat_msg &now, model_part_fn *part, void *arg)
{
    for (const common_chat_msg_diff &diff : common_chat_msg_diff::compute_diffs(r->told, now)) {
        tell(part, arg, MODEL_PART_REASONING, 0, diff.reasoning_content_delta);
        tell(part, arg, MODEL_PART_CONTENT, 0, diff.content_delta);
        if (diff.tool_call_index == std::string::npos)
            continue;
        tell(part, arg, MODEL_PART_CALL, diff.tool_call_index, diff.tool_call_delta.name);
        tell(part, arg, MODEL_PART_ARGUMENTS, diff.tool_call_index, diff.tool_call_delta.arguments);
    }
    r->told = now;
}

void add(model_reader *base, struct text text, bool last, model_part_fn *part, void *arg)
{
    reader *r = reinterpret_cast<reader *>(base);
    r->text.append(text.at == nullptr ? "" : text.at, text.len);
    if (r->lost) {
        tell(part, arg, MODEL_PART_CONTENT, 0, std::string(text.at, text.len));
        return;
    }
    size_t unread = r->text.size() - r->read;
    if (!last && (unread == 0 || unread < r->text.size() / growth_share))
        return;
    size_t before = r->read;
    try {
        r->read = r->text.size();
        tell_new(r, common_chat_parse(r->text, !last, *r->params), part, arg);
    } catch (const std::exception &) {
        bool silent = r->told.empty();
        r->lost = true;
        tell(part, arg, MODEL_PART_CONTENT, 0, silent ? r->text : r->text.substr(before));
    }
}

void reader_free(model_reader *base)
{
    delete reinterpret_cast<reader *>(base);
}

const model_reader_ops reader_ops = {add, reader_free};
} // namespace

extern "C" struct model_reader *model_chat_reader_new(const struct model_chat_format *format)
{
    reader *r = new reader();
    r->base.ops = &reader_ops;
    r->params = format->params;
    return &r->base;
}
