import type { ReactNode } from "react";
import { Mark } from "@/components/logo";

/* The page around setting up and signing in. */
export function Frame({
  title,
  children,
  lead,
  foot,
}: {
  title: string;
  lead?: ReactNode;
  children: ReactNode;
  foot?: ReactNode;
}) {
  return (
    <main className="flex min-h-dvh flex-col items-center bg-rail px-4 pt-[max(2.5rem,11dvh)] pb-10">
      <div className="flex w-full max-w-100 flex-col gap-6">
        <div className="flex flex-col items-center gap-4 text-center">
          <Mark className="size-11" />
          <div>
            <h1 className="text-head font-semibold tracking-tight">{title}</h1>
            {lead && <p className="mt-1 text-soft">{lead}</p>}
          </div>
        </div>
        <div className="rounded-box border border-line bg-raised p-5 shadow-box sm:p-6">
          {children}
        </div>
        {foot && <div className="text-center text-caption text-faint">{foot}</div>}
      </div>
    </main>
  );
}
