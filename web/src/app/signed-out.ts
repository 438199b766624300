import type { QueryClient } from "@tanstack/react-query";
import { bootstrapQuery } from "@/api/queries";
import type { AppRouter } from "./router";

/* The session has ended: ask for a new one and come back to the same place. Drafts are in the
 * tab's storage and survive this. */
export function leaveToSignIn(client: QueryClient, router: AppRouter): void {
  const { pathname, href } = router.state.location;
  if (pathname === "/login" || pathname === "/setup") return;
  const known = client.getQueryData(bootstrapQuery.queryKey);
  client.clear();
  if (known) client.setQueryData(bootstrapQuery.queryKey, { ...known, signed_in: false });
  void router.navigate({ to: "/login", search: { next: href }, replace: true });
}
