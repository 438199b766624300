import { useNavigate } from "@tanstack/react-router";
import { useLingui } from "@lingui/react/macro";
import { SquarePen } from "lucide-react";
import type { Thread } from "@/api/client";
import { RailToggle } from "@/components/rail-toggle";
import { IconButton } from "@/components/ui/button";

export function ChatHeader({ thread }: { thread: Thread | null }) {
  const { t } = useLingui();
  const navigate = useNavigate();
  const title = thread ? thread.title || t`New chat` : t`New chat`;
  return (
    <header className="relative flex h-13 shrink-0 items-center gap-1 px-2 after:pointer-events-none after:absolute after:inset-x-0 after:top-full after:z-10 after:h-4 after:bg-linear-to-b after:from-page after:to-transparent sm:px-3">
      <RailToggle />
      <h1 className={thread ? "min-w-0 flex-1 truncate px-1.5 font-semibold" : "sr-only"}>
        {title}
      </h1>
      {!thread && <span className="flex-1" />}
      <IconButton
        label={t`New chat`}
        className="md:hidden"
        onClick={() => void navigate({ to: "/chat/{-$threadId}", params: { threadId: undefined } })}
      >
        <SquarePen className="size-4.5" aria-hidden="true" />
      </IconButton>
    </header>
  );
}
