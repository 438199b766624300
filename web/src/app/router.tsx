import type { QueryClient } from "@tanstack/react-query";
import {
  createRootRouteWithContext,
  createRoute,
  createRouter,
  lazyRouteComponent,
  Outlet,
  redirect,
} from "@tanstack/react-router";
import { basePath } from "@/api/client";
import { bootstrapQuery, meQuery } from "@/api/queries";
import { BootError, NotFound, PageError } from "./errors";

const loadShell = () => import("./shell/shell");
const loadChat = () => import("@/features/chat/page");

type Context = { client: QueryClient };

const rootRoute = createRootRouteWithContext<Context>()({
  component: Outlet,
  notFoundComponent: NotFound,
  errorComponent: BootError,
});

type Next = { next?: string };

/* Only a path of this app: whoever makes a link must not choose where signing in leads. What is
 * refused is set to undefined by name, since the router lays this over the raw parameters. */
function readNext(search: Record<string, unknown>): Next {
  const next = search.next;
  if (typeof next !== "string" || !/^\/(?![/\\])/.test(next)) return { next: undefined };
  return { next };
}

const loginRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: "/login",
  validateSearch: readNext,
  beforeLoad: async ({ context, search }) => {
    const boot = await context.client.ensureQueryData(bootstrapQuery);
    if (boot.needs_setup) throw redirect({ to: "/setup" });
    if (boot.signed_in) throw redirect({ href: search.next ?? "/chat" });
  },
  component: lazyRouteComponent(() => import("@/features/auth/login-page"), "LoginPage"),
});

const setupRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: "/setup",
  beforeLoad: async ({ context }) => {
    const boot = await context.client.ensureQueryData(bootstrapQuery);
    if (!boot.needs_setup) throw redirect({ to: boot.signed_in ? "/chat/{-$threadId}" : "/login" });
  },
  component: lazyRouteComponent(() => import("@/features/auth/setup-page"), "SetupPage"),
});

/* Everything behind the sign-in. The server decides; this only shows the right page. */
const memberRoute = createRoute({
  getParentRoute: () => rootRoute,
  id: "member",
  beforeLoad: async ({ context, location }) => {
    /* most likely needed: fetched while the server is asked */
    void loadShell();
    if (/^\/(chat|$)/.test(location.pathname)) void loadChat();
    const boot = await context.client.ensureQueryData(bootstrapQuery);
    if (boot.needs_setup) throw redirect({ to: "/setup" });
    if (!boot.signed_in) {
      const next = location.pathname === "/" ? undefined : location.href;
      throw redirect({ to: "/login", search: next ? { next } : {} });
    }
    void context.client.prefetchQuery(meQuery);
  },
  component: lazyRouteComponent(loadShell, "Shell"),
});

const indexRoute = createRoute({
  getParentRoute: () => memberRoute,
  path: "/",
  beforeLoad: () => {
    throw redirect({ to: "/chat/{-$threadId}", replace: true });
  },
});

const chatRoute = createRoute({
  getParentRoute: () => memberRoute,
  path: "/chat/{-$threadId}",
  component: lazyRouteComponent(loadChat, "ChatPage"),
});

const keysRoute = createRoute({
  getParentRoute: () => memberRoute,
  path: "/console/keys",
  component: lazyRouteComponent(() => import("@/features/keys/page"), "KeysPage"),
});

const modelsRoute = createRoute({
  getParentRoute: () => memberRoute,
  path: "/admin/models",
  beforeLoad: async ({ context }) => {
    const me = await context.client.ensureQueryData(meQuery);
    if (me.organisation.role !== "owner") throw redirect({ to: "/chat/{-$threadId}" });
  },
  component: lazyRouteComponent(() => import("@/features/admin/models-page"), "ModelsPage"),
});

const sections = ["profile", "security", "appearance"] as const;

const settingsRoute = createRoute({
  getParentRoute: () => memberRoute,
  path: "/settings/$section",
  beforeLoad: ({ params }) => {
    if (!sections.some((section) => section === params.section)) {
      throw redirect({ to: "/settings/$section", params: { section: "profile" } });
    }
  },
  component: lazyRouteComponent(() => import("@/features/settings/page"), "SettingsPage"),
});

const settingsIndexRoute = createRoute({
  getParentRoute: () => memberRoute,
  path: "/settings",
  beforeLoad: () => {
    throw redirect({ to: "/settings/$section", params: { section: "profile" } });
  },
});

const routeTree = rootRoute.addChildren([
  loginRoute,
  setupRoute,
  memberRoute.addChildren([
    indexRoute,
    chatRoute,
    keysRoute,
    modelsRoute,
    settingsIndexRoute,
    settingsRoute,
  ]),
]);

export function makeRouter(client: QueryClient) {
  return createRouter({
    routeTree,
    basepath: basePath,
    context: { client },
    defaultPreload: "intent",
    defaultPendingMs: 400,
    defaultErrorComponent: PageError,
    defaultNotFoundComponent: NotFound,
    scrollRestoration: false,
  });
}

export type AppRouter = ReturnType<typeof makeRouter>;

declare module "@tanstack/react-router" {
  interface Register {
    router: AppRouter;
  }
}
