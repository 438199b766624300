import { makeKey, makeMessage, makeModel, makeSession, makeUpstream, nowUs } from "./factories";
import { MockWeir } from "./mock-weir";

const DAY_US = 24 * 3600 * 1e6;

/* Something to look at in every view. */
export function demo(options: { needsSetup: boolean; paceMs: number }): MockWeir {
  const weir = new MockWeir();
  weir.needsSetup = options.needsSetup;
  weir.signedIn = !options.needsSetup;
  weir.paceMs = options.paceMs;
  if (options.needsSetup) return weir;

  weir.upstreams = [
    makeUpstream({ name: "GPU server", base_url: "https://gpu.example.com/v1" }),
    makeUpstream({ name: "Ollama", base_url: "http://127.0.0.1:11434/v1", has_key: false }),
  ];
  weir.models = [
    makeModel(),
    makeModel({
      id: "qwen3-8b",
      name: "Qwen3 8B",
      kind: "upstream",
      managed: false,
      context_tokens: 32768,
      upstream_id: weir.upstreams[0]?.id ?? null,
      upstream_model: "Qwen/Qwen3-8B",
      path: null,
      memory_bytes: null,
    }),
    makeModel({
      id: "smollm2-360m",
      name: "SmolLM2 360M",
      managed: false,
      pinned: true,
      memory_bytes: 512 * 2 ** 20,
    }),
    makeModel({
      id: "mistral-nemo-12b",
      name: "Mistral Nemo 12B",
      managed: false,
      state: { phase: "asleep", progress: null, reason: null },
      memory_bytes: 8.1e9,
    }),
    makeModel({
      id: "mixtral-8x7b",
      name: "Mixtral 8x7B",
      managed: false,
      pinned: true,
      state: {
        phase: "asleep",
        progress: null,
        reason: "it needs about 26000 MiB; smollm2-360m (512 MiB, pinned) holds the memory",
      },
      memory_bytes: 27.3e9,
    }),
    makeModel({
      id: "gemma-3-270m",
      name: "Gemma 3 270M",
      managed: false,
      state: { phase: "loading", progress: 0.42, reason: null },
      context_tokens: null,
    }),
    makeModel({
      id: "llama-3.1-8b",
      name: "Llama 3.1 8B",
      managed: false,
      state: {
        phase: "failed",
        progress: null,
        reason: "The file /srv/models/llama.gguf is not a GGUF file.",
      },
      context_tokens: null,
    }),
  ];
  weir.keys = [
    makeKey({ name: "Website, production", last_used_us: nowUs() - 4 * 60e6 }),
    makeKey({
      name: "Nightly reports",
      hint: "weir_sk_Qp0v…77Lm",
      created_us: nowUs() - 40 * DAY_US,
      last_used_us: nowUs() - 6 * 3600e6,
      expires_us: nowUs() + 50 * DAY_US,
    }),
    makeKey({
      name: "Old laptop",
      hint: "weir_sk_Zt4c…0aBq",
      created_us: nowUs() - 200 * DAY_US,
      expires_us: nowUs() - 3 * DAY_US,
    }),
  ];
  weir.sessions = [
    makeSession({ current: true }),
    makeSession({
      address: "192.0.2.17",
      last_seen_us: nowUs() - 2 * DAY_US,
      user_agent: "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Safari/604.1",
    }),
  ];

  const titles: [string, number][] = [
    ["Trip to the coast in spring", 0.1],
    ["Regular expression for dates", 1.2],
    ["Names for a small bakery", 3],
    ["Explain the CAP theorem", 5],
    ["Cover letter, second draft", 12],
    ["SQL: running totals", 19],
    ["Recipe with lentils and lemon", 48],
  ];
  for (const [title, days] of titles.toReversed()) {
    const at = nowUs() - days * DAY_US;
    const question = makeMessage({ content: title, created_us: at });
    const answer = makeMessage({
      role: "assistant",
      parent_id: question.id,
      content: "It depends on what you want to do with it. Tell me more.",
      model: "smollm2-135m-instruct",
      run_id: "run_old",
      finish_reason: "stop",
      created_us: at + 1,
      usage: {
        prompt_tokens: 20,
        completion_tokens: 14,
        timings: { ttft_ms: 120, tokens_per_second: 51 },
      },
    });
    weir.addThread({ title, created_us: at, updated_us: at }, [question, answer]);
  }
  const question = makeMessage({
    content: "How do I count the most frequent words of a text in Python?",
  });
  const answer = makeMessage({
    role: "assistant",
    parent_id: question.id,
    content: weir.speak(""),
    model: "smollm2-135m-instruct",
    run_id: "run_older",
    finish_reason: "stop",
    created_us: question.created_us + 1,
    usage: {
      prompt_tokens: 38,
      completion_tokens: 214,
      timings: { ttft_ms: 182.4, tokens_per_second: 47.3 },
    },
  });
  const other = {
    ...answer,
    id: "msg_other",
    created_us: answer.created_us - 1,
    content: "Use a dictionary.",
  };
  weir.addThread({ title: "Most frequent words", leaf_id: answer.id }, [question, other, answer]);
  return weir;
}
