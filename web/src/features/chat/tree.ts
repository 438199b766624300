import type { Message } from "@/api/client";

/* The messages of a thread as trees by parent_id. What comes out does not depend on the order in
 * which the messages came in. */

export type Tree = {
  byId: ReadonlyMap<string, Message>;
  children: ReadonlyMap<string | null, readonly Message[]>;
};

function older(a: Message, b: Message): number {
  if (a.created_us !== b.created_us) return a.created_us - b.created_us;
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}

export function buildTree(messages: readonly Message[]): Tree {
  const byId = new Map(messages.map((message) => [message.id, message]));
  const children = new Map<string | null, Message[]>();
  for (const message of byId.values()) {
    /* without its parent a message begins a tree of its own */
    const known = message.parent_id !== null && byId.has(message.parent_id);
    const parent = known ? message.parent_id : null;
    const list = children.get(parent);
    if (list) list.push(message);
    else children.set(parent, [message]);
  }
  for (const list of children.values()) list.sort(older);
  return { byId, children };
}

export function siblings(tree: Tree, message: Message): readonly Message[] {
  const known = message.parent_id !== null && tree.byId.has(message.parent_id);
  return tree.children.get(known ? message.parent_id : null) ?? [message];
}

/* Down from a message, always to the youngest child. */
export function latestLeaf(tree: Tree, id: string): string {
  const seen = new Set<string>();
  let at = id;
  while (!seen.has(at)) {
    seen.add(at);
    const next = tree.children.get(at)?.at(-1);
    if (!next) return at;
    at = next.id;
  }
  return at;
}

/* The branch that is shown: from the first message through `leafId` down to its end. Without a
 * leaf, or with one that does not exist, the youngest branch. */
export function branch(tree: Tree, leafId: string | null): Message[] {
  const start = leafId !== null && tree.byId.has(leafId) ? leafId : null;
  const first = tree.children.get(null)?.at(-1)?.id;
  if (start === null && first === undefined) return [];
  let at: string | null = latestLeaf(tree, start ?? first ?? "");
  const path: Message[] = [];
  const seen = new Set<string>();
  while (at !== null && !seen.has(at)) {
    seen.add(at);
    const message = tree.byId.get(at);
    if (!message) break;
    path.push(message);
    at = message.parent_id;
  }
  return path.toReversed();
}

export type Siblings = {
  index: number;
  count: number;
  previous: string | null;
  next: string | null;
};

/* Where a message stands among its alternatives, and which leaves the arrows lead to. */
export function alternatives(tree: Tree, message: Message): Siblings {
  const list = siblings(tree, message);
  const index = list.findIndex((candidate) => candidate.id === message.id);
  const before = list[index - 1];
  const after = list[index + 1];
  return {
    index,
    count: list.length,
    previous: before ? latestLeaf(tree, before.id) : null,
    next: after ? latestLeaf(tree, after.id) : null,
  };
}
