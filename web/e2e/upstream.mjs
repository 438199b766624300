/* A stand-in for a provider with an OpenAI-compatible API: what it says is known, and how fast. */
import { createServer } from "node:http";

export const models = ["river-large", "river-small"];

/* The answer to a question that asks for code: every kind of Markdown that the app must show. */
export const markdown = `## Counting words

Split the text, **count**, and sort:

1. read the words
2. count each of them

\`\`\`python
from collections import Counter

def top_words(text: str, limit: int = 10):
    words = text.lower().split()
    return Counter(words).most_common(limit)
\`\`\`

| Step  | Cost       |
| :---- | ---------: |
| count | O(n)       |
| sort  | O(n log n) |

See [the manual](https://docs.python.org/3/library/collections.html).
<script>document.title = "broken"</script>
`;

export const code = `from collections import Counter

def top_words(text: str, limit: int = 10):
    words = text.lower().split()
    return Counter(words).most_common(limit)`;

function answerTo(question) {
  if (/code/i.test(question)) return markdown.split(/(?<=\s)/);
  if (/long/i.test(question)) return Array.from({ length: 400 }, (_, i) => `line${i + 1} `);
  return ["The river ", "is ", "calm."];
}

export async function startUpstream() {
  const asked = [];
  let down = false;
  let cuts = 0;

  async function complete(request, reply) {
    let body = "";
    for await (const chunk of request) body += chunk;
    const call = JSON.parse(body);
    asked.push(call);
    reply.on("close", () => {
      if (!reply.writableFinished) cuts++;
    });
    const pieces = answerTo(String(call.messages.at(-1).content));
    const usage = {
      prompt_tokens: 12,
      completion_tokens: pieces.length,
      total_tokens: 12 + pieces.length,
    };
    const head = { id: "chatcmpl-1", created: 1, model: call.model };
    if (!call.stream) {
      const message = { role: "assistant", content: pieces.join("") };
      reply.writeHead(200, { "content-type": "application/json" });
      reply.end(
        JSON.stringify({
          ...head,
          object: "chat.completion",
          choices: [{ index: 0, message, finish_reason: "stop" }],
          usage,
        }),
      );
      return;
    }
    const send = (rest) => {
      const chunk = { ...head, object: "chat.completion.chunk", choices: [], ...rest };
      reply.write(`data: ${JSON.stringify(chunk)}\n\n`);
    };
    const choice = (delta, finish_reason = null) => ({
      choices: [{ index: 0, delta, finish_reason }],
    });
    reply.writeHead(200, { "content-type": "text/event-stream" });
    send(choice({ role: "assistant", content: "" }));
    for (const piece of pieces) {
      if (reply.destroyed) return;
      send(choice({ content: piece }));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    send(choice({}, "stop"));
    send({ usage });
    reply.end("data: [DONE]\n\n");
  }

  const server = createServer((request, reply) => {
    if (down) {
      request.socket.destroy();
    } else if (request.url === "/v1/models") {
      reply.setHeader("content-type", "application/json");
      reply.end(
        JSON.stringify({
          object: "list",
          data: models.map((id) => ({ id, object: "model", created: 1, owned_by: "e2e" })),
        }),
      );
    } else if (request.url === "/v1/chat/completions") {
      complete(request, reply).catch(() => reply.destroy());
    } else {
      reply.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}/v1`,
    /* The bodies of the calls so far, and how many were hung up on before their end. */
    asked,
    cuts: () => cuts,
    setDown: (value) => {
      down = value;
    },
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
