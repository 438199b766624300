import type { ComponentType, ReactNode } from "react";

type EmptyStateProps = {
  icon: ComponentType<{ className?: string }>;
  title: string;
  children: ReactNode;
  action?: ReactNode;
};

/* What it is, and the one thing to do about it. */
export function EmptyState({ icon: Icon, title, children, action }: EmptyStateProps) {
  return (
    <div className="flex flex-col items-center gap-1 px-6 py-10 text-center">
      <span className="mb-3 grid size-11 place-items-center rounded-large bg-accent-wash text-accent">
        <Icon className="size-5.5" aria-hidden="true" />
      </span>
      <p className="text-read font-semibold">{title}</p>
      <div className="max-w-sm text-soft">{children}</div>
      {action && <div className="mt-4">{action}</div>}
    </div>
  );
}
