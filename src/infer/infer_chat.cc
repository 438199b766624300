extern "C" {
#include "infer_chat.h"
}
#include <common/chat.h>
#include <common/log.h>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>

struct infer_chat {
    common_chat_templates_ptr templates;
    /* Without tools the template alone tells all: `common` then need not work out, by rendering the
     * template many times, how an answer is to be taken apart. */
    bool plain = false;
};

static common_chat_params apply(const infer_chat *chat, const infer_chat_input *input, bool plain)
{
    common_chat_templates_inputs in;
    in.messages =
        common_chat_msgs_parse_oaicompat(common_json::parse(std::string(input->messages)));
    if (input->tools != nullptr)
        in.tools = common_chat_tools_parse_oaicompat(common_json::parse(std::string(input->tools)));
    if (input->tool_choice != nullptr)
        in.tool_choice = common_chat_tool_choice_parse_oaicompat(input->tool_choice);
    if (input->json_schema != nullptr)
        in.json_schema = input->json_schema;
    in.parallel_tool_calls = input->parallel_tool_calls;
    in.force_pure_content = plain;
    return common_chat_templates_apply(chat->templates.get(), in);
}

static bool is_plain(const infer_chat *chat)
{
    infer_chat_input probe = {};
    probe.messages = R"([{"role":"user","content":"one"},{"role":"assistant","content":"two"},)"
                     R"({"role":"user","content":"three"}])";
    try {
        common_chat_params full = apply(chat, &probe, false);
        return !full.supports_thinking && full.grammar.empty() && full.additional_stops.empty() &&
               full.prompt == apply(chat, &probe, true).prompt;
    } catch (const std::exception &) {
        return false;
    }
}

static char *copy(const std::string &text)
{
    char *memory = static_cast<char *>(std::malloc(text.size() + 1));
    WEIR_ASSERT(memory != nullptr);
    std::memcpy(memory, text.c_str(), text.size() + 1);
    return memory;
}

extern "C" bool infer_chat_open(const struct llama_model *model, const char *source,
                                struct infer_chat **out, struct status *st)
{
    common_log_set_verbosity_thold(-1);
    infer_chat *chat = new infer_chat();
    try {
        chat->templates = common_chat_templates_init(model, source == nullptr ? "" : source);
        chat->plain = is_plain(chat);
    } catch (const std::exception &error) {
        delete chat;
        return status_fail(st, STATUS_INVALID, "the chat template cannot be used: %s",
                           error.what());
    }
    *out = chat;
    return true;
}

extern "C" void infer_chat_close(struct infer_chat *chat)
{
    delete chat;
}

extern "C" bool infer_chat_apply(const struct infer_chat *chat,
                                 const struct infer_chat_input *input,
                                 struct infer_chat_output *out, struct status *st)
{
    try {
        bool plain = chat->plain && input->tools == nullptr && input->json_schema == nullptr;
        common_chat_params params = apply(chat, input, plain);
        common_json stops = common_json::array();
        for (const std::string &stop : params.additional_stops)
            stops.push_back(stop);
        *out = infer_chat_output{copy(params.prompt), params.prompt.size(), copy(params.grammar),
                                 params.grammar_lazy, copy(stops.dump())};
        return true;
    } catch (const std::exception &error) {
        return status_fail_field(st, STATUS_INVALID, "messages",
                                 "the model's chat template refuses the messages: %s",
                                 error.what());
    }
}

extern "C" void infer_chat_output_free(struct infer_chat_output *output)
{
    std::free(output->prompt);
    std::free(output->grammar);
    std::free(output->stops);
    *output = infer_chat_output{};
}
