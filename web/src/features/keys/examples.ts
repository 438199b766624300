export type Language = "curl" | "python" | "javascript";

type Values = { baseUrl: string; key: string; model: string };

/* JSON's quoting is valid in a shell's double quotes' stead, in Python and in JavaScript alike. */
const quote = (text: string) => JSON.stringify(text);

/* A text inside a shell's single quotes. */
const inShell = (text: string) => text.replaceAll("'", `'\\''`);

export function example(language: Language, { baseUrl, key, model }: Values): string {
  const url = `${baseUrl}/v1`;
  switch (language) {
    case "curl":
      return `curl '${inShell(url)}/chat/completions' \\
  -H 'Authorization: Bearer ${inShell(key)}' \\
  -H 'Content-Type: application/json' \\
  -d '{
    "model": ${inShell(quote(model))},
    "messages": [{"role": "user", "content": "Say hello."}]
  }'
`;
    case "python":
      return `# pip install openai
from openai import OpenAI

client = OpenAI(
    base_url=${quote(url)},
    api_key=${quote(key)},
)
stream = client.chat.completions.create(
    model=${quote(model)},
    messages=[{"role": "user", "content": "Say hello."}],
    stream=True,
)
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
`;
    case "javascript":
      return `// npm install openai
import OpenAI from "openai";

const client = new OpenAI({
  baseURL: ${quote(url)},
  apiKey: ${quote(key)},
});
const stream = await client.chat.completions.create({
  model: ${quote(model)},
  messages: [{ role: "user", content: "Say hello." }],
  stream: true,
});
for await (const chunk of stream) {
  process.stdout.write(chunk.choices[0]?.delta?.content ?? "");
}
`;
  }
}
