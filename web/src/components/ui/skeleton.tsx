import { cx } from "@/lib/cx";

/* The shape of what is coming. Invisible for the first 150 ms: what is quick does not flicker. */
export function Skeleton({ className }: { className?: string }) {
  return (
    <span className={cx("block animate-appear", className)} aria-hidden="true">
      <span className="block size-full animate-pulse rounded-small bg-hover" />
    </span>
  );
}
