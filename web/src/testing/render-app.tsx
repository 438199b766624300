import { I18nProvider } from "@lingui/react";
import { QueryClientProvider, type QueryClient } from "@tanstack/react-query";
import { createMemoryHistory, RouterProvider } from "@tanstack/react-router";
import { render } from "@testing-library/react";
import { userEvent } from "@testing-library/user-event";
import { setupServer } from "msw/node";
import { afterAll, afterEach, beforeAll, beforeEach } from "vitest";
import { onSignedOut } from "@/api/client";
import { makeQueryClient } from "@/app/query-client";
import { makeRouter, type AppRouter } from "@/app/router";
import { leaveToSignIn } from "@/app/signed-out";
import { Toaster, useToasts } from "@/components/ui/toast";
import { dropAllRuns } from "@/features/chat/runs";
import { i18n } from "@/i18n/i18n";
import { makeHandlers } from "./handlers";
import { MockWeir } from "./mock-weir";

/* The whole app at an address, with a small Weir behind it that is new for each test. */
export function withMockWeir() {
  const held = { weir: new MockWeir() };
  const server = setupServer();
  let leave = () => {};
  beforeAll(() => server.listen({ onUnhandledRequest: "error" }));
  beforeEach(() => {
    held.weir = new MockWeir();
    server.use(...makeHandlers(held.weir));
  });
  afterEach(() => {
    leave();
    dropAllRuns();
    useToasts.setState({ toasts: [] });
    server.resetHandlers();
  });
  afterAll(() => server.close());

  function open(path: string): { router: AppRouter; client: QueryClient } {
    const client = makeQueryClient();
    client.setDefaultOptions({ queries: { retry: false } });
    const router = makeRouter(client);
    router.update({
      ...router.options,
      history: createMemoryHistory({ initialEntries: [path] }),
      basepath: "/",
      context: { client },
    });
    leave = onSignedOut(() => leaveToSignIn(client, router));
    render(
      <I18nProvider i18n={i18n}>
        <QueryClientProvider client={client}>
          <RouterProvider router={router} />
          <Toaster />
        </QueryClientProvider>
      </I18nProvider>,
    );
    return { router, client };
  }

  return {
    get weir() {
      return held.weir;
    },
    server,
    open,
    user: userEvent.setup({ pointerEventsCheck: 0 }),
  };
}
