import { useEffect, type ReactNode } from "react";
import { cx } from "@/lib/cx";

export function useTitle(title: string): void {
  useEffect(() => {
    document.title = title ? `${title} · Weir` : "Weir";
  }, [title]);
}

type PageProps = {
  title: string;
  description?: ReactNode;
  action?: ReactNode;
  children: ReactNode;
  narrow?: boolean;
};

/* A page of the console: title, one line, one main action, then cards. */
export function Page({ title, description, action, children, narrow = false }: PageProps) {
  useTitle(title);
  return (
    <main id="main" tabIndex={-1} className="min-h-0 flex-1 overflow-y-auto outline-none">
      <div
        className={cx(
          "mx-auto flex w-full flex-col gap-6 px-4 pt-2 pb-16 sm:px-8 md:pt-10",
          narrow ? "max-w-3xl" : "max-w-5xl",
        )}
      >
        <header className="flex flex-wrap items-start justify-between gap-x-6 gap-y-3">
          <div className="min-w-0">
            <h1 className="text-head font-semibold tracking-tight">{title}</h1>
            {description && <p className="mt-1 max-w-prose text-soft">{description}</p>}
          </div>
          {action}
        </header>
        {children}
      </div>
    </main>
  );
}

export function Card({
  title,
  description,
  action,
  children,
  flush = false,
}: {
  title?: ReactNode;
  description?: ReactNode;
  action?: ReactNode;
  children: ReactNode;
  flush?: boolean;
}) {
  return (
    <section className="overflow-clip rounded-box border border-line bg-raised shadow-low">
      {title && (
        <header className="flex flex-wrap items-center justify-between gap-x-4 gap-y-2 px-5 py-4">
          <div className="min-w-0">
            <h2 className="text-read font-semibold">{title}</h2>
            {description && <p className="mt-0.5 text-soft">{description}</p>}
          </div>
          {action}
        </header>
      )}
      <div className={cx(!flush && "px-5 pb-5", !flush && !title && "pt-5")}>{children}</div>
    </section>
  );
}
