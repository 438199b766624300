import { useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { useLingui } from "@lingui/react/macro";
import {
  ChevronsUpDown,
  Cpu,
  Keyboard,
  KeyRound,
  LogOut,
  PanelLeftClose,
  Settings,
  SquarePen,
} from "lucide-react";
import { lazy, Suspense, type ComponentType, type ReactNode, type RefObject } from "react";
import { api, unwrap, type Me } from "@/api/client";
import { toError } from "@/api/errors";
import { bootstrapQuery } from "@/api/queries";
import { Mark } from "@/components/logo";
import { useRail } from "@/components/rail-store";
import { IconButton } from "@/components/ui/button";
import { MenuButton, type MenuItem } from "@/components/ui/menu";
import { Skeleton } from "@/components/ui/skeleton";
import { toast } from "@/components/ui/toast";

const loadThreadList = () => import("@/features/chat/components/thread-list");
const ThreadList = lazy(loadThreadList);

export const preloadThreadList = (): void => void loadThreadList();

const item =
  "flex h-9 pointer-coarse:h-11 items-center gap-2.5 rounded-small px-2.5 font-medium text-soft transition-colors duration-100 hover:bg-hover hover:text-ink aria-[current=page]:bg-selected aria-[current=page]:text-ink";

function Entry({
  icon: Icon,
  children,
}: {
  icon: ComponentType<{ className?: string }>;
  children: ReactNode;
}) {
  return (
    <>
      <Icon className="size-4 shrink-0" aria-hidden="true" />
      {children}
    </>
  );
}

function Account({ me, onShortcuts }: { me: Me | undefined; onShortcuts: () => void }) {
  const { t } = useLingui();
  const navigate = useNavigate();
  const client = useQueryClient();

  async function signOut() {
    try {
      await unwrap(api.DELETE("/api/session"));
    } catch (failure) {
      toast.problem(t`You could not be signed out`, { detail: toError(failure).message });
      return;
    }
    const boot = client.getQueryData(bootstrapQuery.queryKey);
    client.clear();
    if (boot) client.setQueryData(bootstrapQuery.queryKey, { ...boot, signed_in: false });
    await navigate({ to: "/login", search: {} });
  }

  const items: MenuItem[] = [
    {
      id: "settings",
      label: t`Settings`,
      icon: Settings,
      run: () => void navigate({ to: "/settings/$section", params: { section: "profile" } }),
    },
    ...(window.matchMedia("(pointer: coarse)").matches
      ? []
      : [{ id: "shortcuts", label: t`Keyboard shortcuts`, icon: Keyboard, run: onShortcuts }]),
    { id: "line", separator: true },
    { id: "sign-out", label: t`Sign out`, icon: LogOut, run: () => void signOut() },
  ];
  if (!me) return <Skeleton className="m-2 h-9" />;
  const initial = (me.user.name || me.user.email).slice(0, 1).toUpperCase();
  return (
    <MenuButton label={t`Your account`} items={items} side="top" wide={false}>
      {(trigger) => (
        <button
          type="button"
          {...trigger}
          className="flex w-full items-center gap-2.5 rounded-large p-2 text-left transition-colors duration-100 hover:bg-hover aria-expanded:bg-hover"
        >
          <span
            className="grid size-8 shrink-0 place-items-center rounded-full bg-accent-wash font-semibold text-accent"
            aria-hidden="true"
          >
            {initial}
          </span>
          <span className="min-w-0 flex-1">
            <span className="block truncate font-medium">{me.user.name || me.user.email}</span>
            <span className="block truncate text-caption text-faint">{me.organisation.name}</span>
          </span>
          <ChevronsUpDown className="size-4 shrink-0 text-faint" aria-hidden="true" />
        </button>
      )}
    </MenuButton>
  );
}

type RailProps = {
  me: Me | undefined;
  searchRef: RefObject<HTMLInputElement | null>;
  onNavigate: () => void;
  onShortcuts: () => void;
};

export function Rail({ me, searchRef, onNavigate, onShortcuts }: RailProps) {
  const { t } = useLingui();
  const { setFolded, setDrawer } = useRail();
  return (
    <div className="flex h-full flex-col">
      <div className="flex h-13 shrink-0 items-center gap-2.5 pr-2 pl-5">
        <Mark className="size-6.5" />
        <span className="flex-1 text-title font-semibold tracking-tight">Weir</span>
        <IconButton
          label={t`Hide the side bar`}
          onClick={() => {
            setFolded(true);
            setDrawer(false);
          }}
          className="max-md:hidden"
        >
          <PanelLeftClose className="size-4.5" aria-hidden="true" />
        </IconButton>
      </div>
      <nav aria-label={t`Sections`} className="flex flex-col gap-0.5 px-3 pt-1 pb-3">
        <Link
          to="/chat/{-$threadId}"
          params={{ threadId: undefined }}
          activeOptions={{ exact: true }}
          onClick={onNavigate}
          className={item}
        >
          <Entry icon={SquarePen}>{t`New chat`}</Entry>
        </Link>
        <Link to="/console/keys" onClick={onNavigate} className={item}>
          <Entry icon={KeyRound}>{t`API keys`}</Entry>
        </Link>
        {me?.organisation.role === "owner" && (
          <Link to="/admin/models" onClick={onNavigate} className={item}>
            <Entry icon={Cpu}>{t`Models`}</Entry>
          </Link>
        )}
      </nav>
      <div className="mx-3 mb-2 h-px shrink-0 bg-line" />
      <Suspense
        fallback={
          <div className="flex flex-1 flex-col gap-3 px-5 pt-12">
            {["w-2/5", "w-11/12", "w-3/4", "w-5/6"].map((width) => (
              <Skeleton key={width} className={`h-5 ${width}`} />
            ))}
          </div>
        }
      >
        <ThreadList searchRef={searchRef} onNavigate={onNavigate} />
      </Suspense>
      <div className="shrink-0 border-t border-line p-2">
        <Account me={me} onShortcuts={onShortcuts} />
      </div>
    </div>
  );
}
