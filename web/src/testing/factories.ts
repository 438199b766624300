import type { Key, Message, Model, Session, Thread, ThreadDetail, Upstream } from "@/api/client";

let count = 0;
export const nextId = (prefix: string) => `${prefix}_${String(++count).padStart(6, "0")}`;
export const nowUs = () => Date.now() * 1000;

export const makeModel = (change: Partial<Model> = {}): Model => ({
  id: "smollm2-135m-instruct",
  name: "SmolLM2 135M Instruct",
  kind: "local",
  enabled: true,
  managed: true,
  pinned: false,
  state: { phase: "ready", progress: null, reason: null },
  context_tokens: 8192,
  tasks: ["chat", "completions"],
  memory_bytes: 142_000_000,
  path: "/srv/models/smollm2-135m-instruct.gguf",
  upstream_id: null,
  upstream_model: null,
  created_us: nowUs(),
  ...change,
});

export const makeUpstream = (change: Partial<Upstream> = {}): Upstream => ({
  id: nextId("ups"),
  name: "GPU server",
  base_url: "https://gpu.example.com/v1",
  has_key: true,
  enabled: true,
  managed: false,
  created_us: nowUs(),
  ...change,
});

export const makeKey = (change: Partial<Key> = {}): Key => ({
  id: nextId("key"),
  name: "Website",
  hint: "weir_sk_Ab3d…9xYz",
  created_by: { id: "usr_000001", name: "Ada Lovelace" },
  created_us: nowUs(),
  last_used_us: null,
  expires_us: null,
  ...change,
});

export const makeSession = (change: Partial<Session> = {}): Session => ({
  id: nextId("ses"),
  current: false,
  created_us: nowUs(),
  last_seen_us: nowUs(),
  address: "127.0.0.1",
  user_agent:
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
  ...change,
});

export const makeMessage = (change: Partial<Message> = {}): Message => ({
  id: nextId("msg"),
  parent_id: null,
  role: "user",
  content: "Hello",
  status: "complete",
  run_id: null,
  model: null,
  usage: null,
  finish_reason: null,
  error: null,
  created_us: nowUs() + count,
  ...change,
});

export const makeThread = (change: Partial<Thread> = {}): Thread => ({
  id: nextId("thr"),
  title: "",
  model: null,
  leaf_id: null,
  system_prompt: "",
  parameters: {},
  active_run_id: null,
  created_us: nowUs(),
  updated_us: nowUs(),
  ...change,
});

export const makeDetail = (messages: Message[], change: Partial<Thread> = {}): ThreadDetail => ({
  ...makeThread(change),
  messages,
});
