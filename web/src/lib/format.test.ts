import { describe, expect, it } from "vitest";
import {
  dayOf,
  describeAgent,
  formatAgo,
  formatContext,
  formatMemory,
  formatMilliseconds,
  formatRate,
} from "./format";

const now = new Date(2026, 5, 15, 12, 0, 0);
const us = (date: Date) => date.getTime() * 1000;
const before = (ms: number) => us(new Date(now.getTime() - ms));

describe("format", () => {
  it.each([
    [0, "0 ms"],
    [182.4, "182 ms"],
    [1234, "1.2 s"],
    [75_300, "75 s"],
  ])("formatMilliseconds %d", (ms, want) => expect(formatMilliseconds(ms)).toBe(want));

  it.each([
    [2048, "2K"],
    [131072, "128K"],
    [1048576, "1M"],
    [8000, "8K"],
    [500, "500"],
  ])("formatContext %d", (tokens, want) => expect(formatContext(tokens)).toBe(want));

  it("formatRate keeps a digit where it matters", () => {
    expect(formatRate(4.26)).toBe("4.3");
    expect(formatRate(47.3)).toBe("47");
  });

  it.each([
    [5_000, "now"],
    [3 * 60_000, "3 minutes ago"],
    [5 * 3_600_000, "5 hours ago"],
    [24 * 3_600_000, "yesterday"],
    [4 * 24 * 3_600_000, "4 days ago"],
  ])("formatAgo %d", (ms, want) => expect(formatAgo(before(ms), now.getTime())).toBe(want));

  it("formatAgo gives the date of what is long ago", () => {
    expect(formatAgo(us(new Date(2025, 0, 5)), now.getTime())).toMatch(/2025/);
  });

  it.each([
    [142_000_000, "135 MiB"],
    [2 ** 30, "1.0 GiB"],
    [4.4e9, "4.1 GiB"],
  ])("formatMemory %d", (bytes, want) => expect(formatMemory(bytes)).toBe(want));

  it.each([
    [new Date(2026, 5, 15, 0, 0, 1), "today"],
    [new Date(2026, 5, 14, 23, 59), "yesterday"],
    [new Date(2026, 5, 9), "week"],
    [new Date(2026, 4, 20), "month"],
    [new Date(2026, 0, 3), { month: "January 2026" }],
  ])("dayOf %s", (date, want) => expect(dayOf(us(date), now)).toEqual(want));

  it.each([
    ["Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox · Linux"],
    [
      "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140 Safari/537.36 Edg/140",
      "Edge · Windows",
    ],
    ["curl/8.5.0", "curl"],
    ["something", null],
  ])("describeAgent %s", (agent, want) => expect(describeAgent(agent)).toBe(want));
});
