export function Mark({ className }: { className?: string }) {
  return (
    <svg viewBox="0 0 32 32" fill="none" className={className} aria-hidden="true">
      <rect width="32" height="32" rx="8" fill="var(--color-accent)" />
      <g stroke="var(--color-on-accent)" strokeWidth="2.8" strokeLinecap="round">
        <path d="M6 10h8.5c2.5 0 3.5 1.5 3.5 4v3.5c0 2.5 1 4.5 4 4.5h4" />
        <path d="M6 16h4c1.8 0 2.6 1 2.6 3s1.2 3.5 3 3.5" opacity=".6" />
      </g>
    </svg>
  );
}
