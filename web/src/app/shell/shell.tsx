import { Outlet, useLocation, useNavigate } from "@tanstack/react-router";
import { useQuery } from "@tanstack/react-query";
import { Trans, useLingui } from "@lingui/react/macro";
import { CloudOff } from "lucide-react";
import { lazy, Suspense, useEffect, useRef, useState } from "react";
import { meQuery } from "@/api/queries";
import { RailToggle } from "@/components/rail-toggle";
import { useRail } from "@/components/rail-store";
import { Dialog, preloadDialog } from "@/components/ui/dialog";
import { useHotkeys, useSequence } from "@/lib/hotkeys";
import { useMedia, useOnline } from "@/lib/use-media";
import { preloadThreadList, Rail } from "./rail";

const Shortcuts = lazy(() => import("./shortcuts"));

function OfflineBanner() {
  const online = useOnline();
  if (online) return null;
  return (
    <p
      role="status"
      className="flex shrink-0 items-center justify-center gap-2 bg-warn-wash px-4 py-1.5 text-warn"
    >
      <CloudOff className="size-4" aria-hidden="true" />
      <Trans>You are offline. What is on the screen stays.</Trans>
    </p>
  );
}

export function Shell() {
  const { t } = useLingui();
  const navigate = useNavigate();
  const { pathname } = useLocation();
  const me = useQuery(meQuery);
  const { folded, drawer, setFolded, setDrawer } = useRail();
  const wide = useMedia("(min-width: 48rem)");
  const [shortcuts, setShortcuts] = useState(false);
  const search = useRef<HTMLInputElement>(null);
  const inChat = pathname.startsWith("/chat");

  useEffect(() => setDrawer(false), [pathname, wide, setDrawer]);

  useEffect(() => {
    /* what a phone opens first, fetched before the thumb gets there */
    if (wide) return;
    const timer = setTimeout(() => {
      preloadDialog();
      preloadThreadList();
    }, 600);
    return () => clearTimeout(timer);
  }, [wide]);

  const newChat = () =>
    void navigate({ to: "/chat/{-$threadId}", params: { threadId: undefined } });
  function searchChats() {
    if (wide) setFolded(false);
    else setDrawer(true);
    /* the rail may have to be drawn first */
    setTimeout(() => search.current?.focus(), wide ? 50 : 250);
  }

  useHotkeys([
    { key: "k", mod: true, run: searchChats },
    { key: "o", mod: true, shift: true, run: newChat },
    { key: "b", mod: true, run: () => (wide ? setFolded(!folded) : setDrawer(true)) },
    { key: "/", mod: true, run: () => setShortcuts(true) },
    { key: "?", run: () => setShortcuts(true) },
  ]);
  useSequence("g", {
    c: newChat,
    k: () => void navigate({ to: "/console/keys" }),
    m: () => void navigate({ to: "/admin/models" }),
    s: () => void navigate({ to: "/settings/$section", params: { section: "profile" } }),
  });

  const rail = (
    <Rail
      me={me.data}
      searchRef={search}
      onNavigate={() => setDrawer(false)}
      onShortcuts={() => setShortcuts(true)}
    />
  );

  return (
    <div className="flex h-dvh flex-col">
      <a
        href="#main"
        onClick={(event) => {
          /* a fragment would be read against <base> and lead away */
          event.preventDefault();
          document.getElementById("main")?.focus();
        }}
        className="sr-only focus:not-sr-only focus:fixed focus:top-2 focus:left-2 focus:z-50 focus:rounded-large focus:bg-accent focus:px-4 focus:py-2 focus:text-on-accent"
      >
        {t`Skip to the content`}
      </a>
      <OfflineBanner />
      <div className="flex min-h-0 flex-1">
        {wide && !folded && (
          <aside aria-label={t`Side bar`} className="w-66 shrink-0 border-r border-line bg-rail">
            {rail}
          </aside>
        )}
        {!wide && (
          <Dialog
            open={drawer}
            onClose={() => setDrawer(false)}
            title={t`Menu`}
            shape="drawer"
            bare
          >
            <div className="h-full bg-rail">{rail}</div>
          </Dialog>
        )}
        <div className="flex min-h-0 min-w-0 flex-1 flex-col">
          {!inChat && (
            <div className={folded ? "px-2 pt-2 md:absolute" : "px-2 pt-2 md:hidden"}>
              <RailToggle />
            </div>
          )}
          <Outlet />
        </div>
      </div>
      {shortcuts && (
        <Suspense>
          <Shortcuts onClose={() => setShortcuts(false)} />
        </Suspense>
      )}
    </div>
  );
}
