/* Numbers and times for people. The locale is the browser's. */

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export const usToDate = (us: number): Date => new Date(us / 1000);

const dateTimeFormat = new Intl.DateTimeFormat(undefined, {
  dateStyle: "medium",
  timeStyle: "short",
});
const dateFormat = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const monthFormat = new Intl.DateTimeFormat(undefined, { month: "long", year: "numeric" });
const relativeFormat = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "long" });
const integerFormat = new Intl.NumberFormat();
const compactFormat = new Intl.NumberFormat(undefined, {
  notation: "compact",
  maximumFractionDigits: 1,
});

export const formatDateTime = (us: number): string => dateTimeFormat.format(usToDate(us));
export const formatDate = (us: number): string => dateFormat.format(usToDate(us));
export const formatInteger = (value: number): string => integerFormat.format(value);
export const formatCompact = (value: number): string => compactFormat.format(value);

/* "just now", "3 minutes ago", "yesterday", later the date. */
export function formatAgo(us: number, now = Date.now()): string {
  const ms = us / 1000 - now;
  const size = Math.abs(ms);
  if (size < 45_000) return relativeFormat.format(0, "second");
  if (size < HOUR) return relativeFormat.format(Math.round(ms / MINUTE), "minute");
  if (size < DAY) return relativeFormat.format(Math.round(ms / HOUR), "hour");
  if (size < 30 * DAY) return relativeFormat.format(Math.round(ms / DAY), "day");
  return formatDate(us);
}

/* 340 ms, 1.2 s, 75 s */
export function formatMilliseconds(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
}

export function formatRate(tokensPerSecond: number): string {
  return tokensPerSecond < 10 ? tokensPerSecond.toFixed(1) : String(Math.round(tokensPerSecond));
}

/* 2048 → 2K, 131072 → 128K: context sizes are said in powers of two. */
export function formatContext(tokens: number): string {
  if (tokens >= 1024 * 1024 && tokens % (1024 * 1024) === 0) return `${tokens / (1024 * 1024)}M`;
  if (tokens >= 1024 && tokens % 1024 === 0) return `${tokens / 1024}K`;
  return formatCompact(tokens);
}

/* Memory: "135 MiB", "4.1 GiB". */
export function formatMemory(bytes: number): string {
  const mib = bytes / 2 ** 20;
  return mib < 1024 ? `${Math.round(mib)} MiB` : `${(mib / 1024).toFixed(1)} GiB`;
}

export type Day = "today" | "yesterday" | "week" | "month" | { month: string };

/* Under which heading of the history something of that time stands. */
export function dayOf(us: number, now = new Date()): Day {
  const midnight = new Date(now.getFullYear(), now.getMonth(), now.getDate()).getTime();
  const at = us / 1000;
  if (at >= midnight) return "today";
  if (at >= midnight - DAY) return "yesterday";
  if (at >= midnight - 7 * DAY) return "week";
  if (at >= midnight - 30 * DAY) return "month";
  return { month: monthFormat.format(new Date(at)) };
}

/* "Firefox on Linux" out of a User-Agent; null when nothing in it is known. */
export function describeAgent(agent: string): string | null {
  const browsers: [RegExp, string][] = [
    [/Edg\//, "Edge"],
    [/OPR\//, "Opera"],
    [/Firefox\//, "Firefox"],
    [/Chrome\//, "Chrome"],
    [/Safari\//, "Safari"],
    [/curl\//, "curl"],
  ];
  const systems: [RegExp, string][] = [
    [/iPhone|iPad/, "iOS"],
    [/Android/, "Android"],
    [/Windows/, "Windows"],
    [/Mac OS X/, "macOS"],
    [/CrOS/, "ChromeOS"],
    [/Linux|X11/, "Linux"],
  ];
  const browser = browsers.find(([pattern]) => pattern.test(agent))?.[1];
  const system = systems.find(([pattern]) => pattern.test(agent))?.[1];
  if (!browser) return null;
  return system ? `${browser} · ${system}` : browser;
}
