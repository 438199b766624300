import { I18nProvider } from "@lingui/react";
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { useEffect } from "react";
import { onSignedOut } from "@/api/client";
import { Toaster } from "@/components/ui/toast";
import { i18n } from "@/i18n/i18n";
import { makeQueryClient } from "./query-client";
import { makeRouter } from "./router";
import { leaveToSignIn } from "./signed-out";

const queryClient = makeQueryClient();
const router = makeRouter(queryClient);

export function App() {
  useEffect(() => onSignedOut(() => leaveToSignIn(queryClient, router)), []);
  return (
    <I18nProvider i18n={i18n}>
      <QueryClientProvider client={queryClient}>
        <RouterProvider router={router} />
        <Toaster />
      </QueryClientProvider>
    </I18nProvider>
  );
}
