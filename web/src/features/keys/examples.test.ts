import { describe, expect, it } from "vitest";
import { example } from "./examples";

const values = { baseUrl: "http://127.0.0.1:8080", key: "weir_sk_x", model: 'it\'s "odd"' };

describe("example", () => {
  it("quotes for a shell", () => {
    const text = example("curl", values);
    expect(text).toContain("'http://127.0.0.1:8080/v1/chat/completions'");
    expect(text).toContain(`"model": "it'\\''s \\"odd\\""`);
  });
  it.each(["python", "javascript"] as const)("quotes for %s", (language) => {
    const text = example(language, values);
    expect(text).toContain(JSON.stringify(values.model));
    expect(text).toContain('"http://127.0.0.1:8080/v1"');
  });
});
